-- Gives values their ranks in a conversation, as one step: those that have none get the next of their type.
--
-- KEYS[1]  the conversation, a hash: TYPE\0DIGEST -> rank, TYPE -> the highest rank given, "#" -> how many values there are
-- ARGV     how long it is kept after this, in ms; how many values it may have; how many are asked for; then for each of
--          them type and digest; then type, digest and rank of what the caller remembers
-- Returns the ranks in the order asked, or an empty list where there would be too many values.

local key = KEYS[1]
local kept_ms, most, asked = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local first_remembered = 4 + 2 * asked

-- A server that lost its data would number a conversation anew that is under way: names would come to mean other values.
if first_remembered <= #ARGV and redis.call("EXISTS", key) == 0 then
  for i = first_remembered, #ARGV, 3 do
    local kind, rank = ARGV[i], tonumber(ARGV[i + 2])
    redis.call("HSET", key, kind .. "\0" .. ARGV[i + 1], rank)
    redis.call("HINCRBY", key, "#", 1)
    if rank > tonumber(redis.call("HGET", key, kind) or 0) then
      redis.call("HSET", key, kind, rank)
    end
  end
end

local ranks, missing = {}, {}
for i = 1, asked do
  local at = 2 + 2 * i
  ranks[i] = tonumber(redis.call("HGET", key, ARGV[at] .. "\0" .. ARGV[at + 1]) or 0)
  if ranks[i] == 0 then
    missing[#missing + 1] = i
  end
end

if #missing > 0 then
  if tonumber(redis.call("HGET", key, "#") or 0) + #missing > most then
    return {}
  end
  for _, i in ipairs(missing) do
    local at = 2 + 2 * i
    ranks[i] = redis.call("HINCRBY", key, ARGV[at], 1)
    redis.call("HSET", key, ARGV[at] .. "\0" .. ARGV[at + 1], ranks[i])
  end
  redis.call("HINCRBY", key, "#", #missing)
end
redis.call("PEXPIRE", key, kept_ms)
return ranks
