-- free: give back the concurrency that a reservation holds. core/limits/reservations.py, free_slots().
local known = reservation(args.id)
if known and known.state == 'live' then
  local holds = {}
  for _, hold in ipairs(known.holds) do
    if hold[2] == 'seats' then
      release(hold)
    else
      holds[#holds + 1] = hold
    end
  end
  keep(args.id, 'live', tonumber(redis.call('ZSCORE', due, args.id)) or now, holds)
end
return reply({})
