-- Returns the numbers of values in a conversation, as one step: a value without one gets the next number of its type.
--
-- KEYS[1]  the conversation, a hash: TYPE\0DIGEST -> number, TYPE -> its highest number, "#" -> count of values
-- ARGV     expiry in ms; maximum count of values; count of values asked for; then type and digest of each of them; then
--          type, digest and number of each value that the caller remembers
-- Returns the numbers in the order asked, or an empty list if there would be too many values.

local key = KEYS[1]
local kept_ms, most, asked = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local first_remembered = 4 + 2 * asked

-- The server may have lost its data: restore the caller's numbers, or placeholders already sent would get other values.
if first_remembered <= #ARGV and redis.call("EXISTS", key) == 0 then
  for i = first_remembered, #ARGV, 3 do
    local kind, number = ARGV[i], tonumber(ARGV[i + 2])
    redis.call("HSET", key, kind .. "\0" .. ARGV[i + 1], number)
    redis.call("HINCRBY", key, "#", 1)
    if number > tonumber(redis.call("HGET", key, kind) or 0) then
      redis.call("HSET", key, kind, number)
    end
  end
end

local numbers, missing = {}, {}
for i = 1, asked do
  local at = 2 + 2 * i
  numbers[i] = tonumber(redis.call("HGET", key, ARGV[at] .. "\0" .. ARGV[at + 1]) or 0)
  if numbers[i] == 0 then
    missing[#missing + 1] = i
  end
end

if #missing > 0 then
  if tonumber(redis.call("HGET", key, "#") or 0) + #missing > most then
    return {}
  end
  for _, i in ipairs(missing) do
    local at = 2 + 2 * i
    numbers[i] = redis.call("HINCRBY", key, ARGV[at], 1)
    redis.call("HSET", key, ARGV[at] .. "\0" .. ARGV[at + 1], numbers[i])
  end
  redis.call("HINCRBY", key, "#", #missing)
end
redis.call("PEXPIRE", key, kept_ms)
return numbers
