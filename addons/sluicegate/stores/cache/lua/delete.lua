-- Delete an entry; returns 1 if there was one.
-- KEYS: entry, by_used, by_expires, sizes, numbers    ARGV: key
local size = redis.call('HGET', KEYS[4], ARGV[1])
if size then
  redis.call('HDEL', KEYS[4], ARGV[1])
  redis.call('HINCRBY', KEYS[5], 'bytes', -tonumber(size))
end
redis.call('HINCRBY', KEYS[5], 'version', 1)
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
return redis.call('DEL', KEYS[1])
