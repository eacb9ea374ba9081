
-- reserve: reserve in all counters of a call, or in none. core/limits/reservations.py, reserve().
expire()
local rows = {}
local room = true
for i, c in ipairs(args.charges) do
  rows[i] = current(c, row_of(c[KEY]))
  room = room and fits(c, rows[i])
end
local known = reservation(args.id)
if known and known.state == 'live' then
  return reply(rows, 1)
end
if not room then
  for i, c in ipairs(args.charges) do
    if rows[i].moved then -- to the present, so that it drains from now on: the clock was set back
      put(c[KEY], rows[i])
    end
  end
  return reply(rows, 0)
end
local holds = {}
for i, c in ipairs(args.charges) do
  take(c, rows[i])
  put(c[KEY], rows[i])
  holds[i] = {c[KEY], c[KIND], whole(c[AMOUNT]), rows[i].at, c[PERIOD]}
end
keep(args.id, 'live', now + args.lease, holds)
return reply(rows, 1)
