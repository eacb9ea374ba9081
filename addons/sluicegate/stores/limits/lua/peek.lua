
-- peek: the usage of counters. core/limits/reservations.py, peek().
expire()
local rows = {}
for i, c in ipairs(args.charges) do
  rows[i] = current(c, row_of(c[KEY]))
end
return reply(rows)
