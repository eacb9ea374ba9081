
-- settle: charge what was used instead of what was reserved, once. core/limits/book.py, settle().
local known = reservation(args.id)
if known and known.state == 'done' then
  return told({})
end
local windows = {}
if known then
  for _, hold in ipairs(known.holds) do
    if known.state == 'live' or hold[2] == 'bucket' then
      give_back(hold)
    end
    if hold[2] == 'budget' then
      windows[hold[1]] = hold[4]
    end
  end
end
for _, c in ipairs(args.charges) do
  local row = row_of(c[KEY])
  local start = windows[c[KEY]]
  if c[KIND] == 'bucket' then
    row = aged(c, row)
    fill(c, row)
    put(c[KEY], row)
  elseif c[KIND] == 'budget' then
    if not start or row.at < start then
      row = aged(c, row)
    end
    if not start or row.at == start then -- else its window is over
      row.used = row.used + c[AMOUNT]
      put(c[KEY], row)
    end
  end
end
keep(args.id, 'done', now + SETTLED_KEPT, {})
return told({})
