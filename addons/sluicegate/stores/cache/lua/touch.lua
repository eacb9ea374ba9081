-- Count hits. KEYS: entry, by_used, numbers    ARGV: key, now, hits, saved_tokens, saved_usd
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HINCRBY', KEYS[1], 'hits', ARGV[3])
  redis.call('ZADD', KEYS[2], 'XX', ARGV[2], ARGV[1])
end
redis.call('HINCRBY', KEYS[3], 'hits', ARGV[3])
redis.call('HINCRBY', KEYS[3], 'tokens', ARGV[4])
redis.call('HINCRBYFLOAT', KEYS[3], 'usd', ARGV[5])
