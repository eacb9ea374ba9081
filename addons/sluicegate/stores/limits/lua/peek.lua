
-- peek: where counters stand. core/limits/book.py, peek().
expire()
local rows = {}
for i, c in ipairs(args.charges) do
  rows[i] = aged(c, row_of(c[KEY]))
end
return told(rows)
