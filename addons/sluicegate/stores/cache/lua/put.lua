-- Store an entry, then evict beyond the limits: expired entries first, then the least recently used.
-- KEYS: entry, by_used, by_expires, sizes, numbers
-- ARGV: key, created, expires, now, size, head, body, max_entries, max_bytes, prefix of entries
local function drop(key)
  local size = redis.call('HGET', KEYS[4], key)
  if size then
    redis.call('HDEL', KEYS[4], key)
    redis.call('HINCRBY', KEYS[5], 'bytes', -tonumber(size))
  end
  redis.call('ZREM', KEYS[2], key)
  redis.call('ZREM', KEYS[3], key)
  redis.call('DEL', ARGV[10] .. key)
end

if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HINCRBY', KEYS[5], 'version', 1)
end
drop(ARGV[1])
redis.call('HSET', KEYS[1], 'created', ARGV[2], 'expires', ARGV[3], 'hits', 0, 'head', ARGV[6], 'body', ARGV[7])
redis.call('PEXPIRE', KEYS[1], math.max(1, math.floor((tonumber(ARGV[3]) - tonumber(ARGV[4])) * 1000)))
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1])
redis.call('HSET', KEYS[4], ARGV[1], ARGV[5])
redis.call('HINCRBY', KEYS[5], 'bytes', tonumber(ARGV[5]))
for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[4], 'LIMIT', 0, 100)) do
  drop(key)
end
while redis.call('ZCARD', KEYS[2]) > tonumber(ARGV[8])
    or tonumber(redis.call('HGET', KEYS[5], 'bytes')) > tonumber(ARGV[9]) do
  local oldest = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
  if not oldest then break end
  drop(oldest)
end
