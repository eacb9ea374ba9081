-- The beginning of every script: the arguments, the time, and core/limits/counters.py in Lua.
-- KEYS[1]: the prefix of all keys. ARGV[1]: a JSON object; a charge in it is
-- {key, kind, amount, limit, rate, period_ms, starts of the windows around now}.
local prefix = KEYS[1]
local due = prefix .. ':due'
local args = cjson.decode(ARGV[1])
local now = args.now
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The first script that finds the store empty names its epoch. A gate that knew another one learns that all counters are lost.
local epoch = redis.call('GET', prefix .. ':epoch')
if not epoch then
  epoch = args.epoch
  redis.call('SET', prefix .. ':epoch', epoch)
end

local KEY, KIND, AMOUNT, LIMIT, RATE, PERIOD, STARTS = 1, 2, 3, 4, 5, 6, 7
local NEVER = 4503599627370496 -- 2^52
local GRACE = 60000
local SET_BACK = 60000
local EXPIRED_KEPT = 3600000
local SETTLED_KEPT = 60000

local function whole(n) -- tostring would round to 14 digits
  return string.format('%.0f', n)
end

local function row_of(key)
  local f = redis.call('HMGET', prefix .. ':c:' .. key, 'at', 'used', 'held', 'until')
  return {at = tonumber(f[1] or 0), used = tonumber(f[2] or 0), held = tonumber(f[3] or 0), till = tonumber(f[4] or 0)}
end

local function put(key, row)
  local name = prefix .. ':c:' .. key
  redis.call('HSET', name, 'at', whole(row.at), 'used', whole(row.used), 'held', whole(row.held), 'until', whole(row.till))
  if row.till >= NEVER then
    redis.call('PERSIST', name)
  else
    redis.call('PEXPIRE', name, whole(math.max(0, row.till - now) + GRACE))
  end
end

-- The start and the end of the window at this time.
local function window_of(starts)
  for i = #starts - 1, 1, -1 do
    if now >= starts[i] then
      return starts[i], starts[i + 1]
    end
  end
  return starts[1], starts[2]
end

local function current(c, row)
  if c[KIND] == 'bucket' then
    if now > row.at then
      row.used = math.max(0, row.used - c[RATE] * (now - row.at))
      row.at = now
    elseif row.at - now > SET_BACK then
      row.at = now
      row.till = now + math.ceil(row.used / c[RATE])
      row.moved = true
    end
  elseif c[KIND] == 'budget' then
    local start, ends = window_of(c[STARTS])
    if start > row.at then
      return {at = start, used = 0, held = 0, till = ends}
    elseif row.at - now > SET_BACK then
      return {at = start, used = row.used, held = 0, till = ends, moved = true}
    end
  end
  return row
end

local function fits(c, row)
  if c[KIND] == 'bucket' then
    return row.used + math.min(c[AMOUNT], c[LIMIT]) * c[PERIOD] <= c[LIMIT] * c[PERIOD]
  elseif c[KIND] == 'budget' then
    return row.used + row.held + c[AMOUNT] <= c[LIMIT]
  end
  return row.held + c[AMOUNT] <= c[LIMIT]
end

local function fill(c, row)
  row.used = row.used + c[AMOUNT] * c[PERIOD]
  row.till = row.at + math.ceil(row.used / c[RATE])
end

local function take(c, row)
  if c[KIND] == 'bucket' then
    fill(c, row)
  else
    row.held = row.held + c[AMOUNT]
    if c[KIND] == 'seats' then
      row.till = NEVER
    end
  end
end

-- A hold is {key, kind, amount as text, at, period_ms}.
local function release(hold)
  local row = row_of(hold[1])
  local amount = tonumber(hold[3])
  if hold[2] == 'bucket' then
    row.used = math.max(0, row.used - amount * hold[5])
  elseif hold[2] == 'seats' then
    row.held = math.max(0, row.held - amount)
    if row.held == 0 then
      row.till = 0
    end
  elseif row.at == hold[4] then
    row.held = math.max(0, row.held - amount)
  end
  put(hold[1], row)
end

local function reservation(id)
  local found = redis.call('GET', prefix .. ':r:' .. id)
  return found and cjson.decode(found)
end

-- `due_at`: when it expires or, if it is no longer live, is deleted.
local function keep(id, state, due_at, holds)
  local kept = cjson.encode({state = state, holds = holds})
  if state == 'live' then
    redis.call('SET', prefix .. ':r:' .. id, kept)
    redis.call('ZADD', due, whole(due_at), id)
  else
    redis.call('SET', prefix .. ':r:' .. id, kept, 'PX', whole(due_at - now))
    redis.call('ZREM', due, id)
  end
end

-- The process that made a due reservation is gone: its concurrency (kind 'seats') and budgets are released.
local function expire()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', whole(now), 'LIMIT', 0, 100)) do
    local known = reservation(id)
    if known and known.state == 'live' then
      for _, hold in ipairs(known.holds) do
        if hold[2] ~= 'bucket' then
          release(hold)
        end
      end
      keep(id, 'expired', now + EXPIRED_KEPT, known.holds)
    else
      redis.call('ZREM', due, id)
    end
  end
end

-- The reply that Python reads: the time, the epoch, each row, then the operation's own result.
local function reply(rows, more)
  local out = {now, tonumber(epoch)}
  for _, row in ipairs(rows) do
    out[#out + 1] = row.at
    out[#out + 1] = row.used
    out[#out + 1] = row.held
    out[#out + 1] = row.till
  end
  out[#out + 1] = more
  return out
end
