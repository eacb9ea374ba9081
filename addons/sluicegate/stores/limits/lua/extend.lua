
-- extend: renew the leases of running calls. core/limits/reservations.py, extend().
for _, id in ipairs(args.ids) do
  local known = reservation(id)
  if known and known.state == 'live' then
    redis.call('ZADD', due, whole(now + args.lease), id)
  end
end
return reply({})
