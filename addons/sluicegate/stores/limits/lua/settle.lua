
-- settle: replace the reserved amounts with the used ones, once. core/limits/reservations.py, settle().
local known = reservation(args.id)
if known and known.state == 'done' then
  return reply({})
end
local live = known and known.state == 'live'
local holds = {}
if known then
  for _, hold in ipairs(known.holds) do
    holds[hold[1]] = hold
  end
end
for _, c in ipairs(args.charges) do
  local hold = holds[c[KEY]]
  holds[c[KEY]] = nil
  if c[KIND] == 'bucket' then
    local more = c[AMOUNT] - (hold and tonumber(hold[3]) or 0)
    if more > 0 then
      local row = current(c, row_of(c[KEY]))
      c[AMOUNT] = more
      fill(c, row)
      put(c[KEY], row)
    elseif more < 0 then
      release({c[KEY], 'bucket', -more, hold[4], hold[5]})
    end
  elseif c[KIND] == 'seats' then
    if hold and live then
      release(hold)
    end
  else
    if hold and live then
      release(hold)
    end
    local row = row_of(c[KEY])
    local start = hold and hold[4]
    local set_back = hold and start - now > SET_BACK
    if not hold or set_back or row.at < start then
      row = current(c, row)
    end
    if not hold or set_back or row.at == start then -- else its window is over
      row.used = row.used + c[AMOUNT]
      put(c[KEY], row)
    end
  end
end
for _, hold in pairs(holds) do
  if live or hold[2] == 'bucket' then
    release(hold)
  end
end
keep(args.id, 'done', now + SETTLED_KEPT, {})
return reply({})
