-- A fingerprint of a session: while it is the same, so is all that a reading of the session gives. It is made of what the
-- reading is made of: the ledger, and what the layout's `inputs` names, values and expiries. None is told of a session that
-- is too large to be read in one part, or where time alone may change what is read.

local MOST, LARGEST, FEW = 1000, 524288, 40

local function fingerprint()
  local parts, count, bytes, steady, expires = {}, 0, 0, true, false

  -- Adds a value. Returns whether there may be more.
  local function see(value)
    count = count + 1
    parts[count] = value
    if type(value) == 'string' then
      bytes = bytes + #value
      steady = steady and bytes <= LARGEST and count <= 4 * MOST
    end
    return steady
  end

  local function see_expiry(key)
    local at = redis.pcall('PEXPIRETIME', key)
    if type(at) == 'table' then
      -- A server before Redis 7, which tells no moment: what is left of the time is another one in a moment.
      at = redis.call('PTTL', key)
      steady = steady and at < 0
    end
    expires = expires or at >= 0
    return see(at)
  end

  local function see_key(key)
    see(redis.call('DUMP', key))
    return see_expiry(key)
  end

  local function see_ledger()
    local ordered, known = redis.call('ZCARD', keys.order), redis.call('HLEN', keys.entries)
    local buried = redis.call('HLEN', keys.tombstones)
    if ordered == 0 and known == 0 and buried == 0 and redis.call('HLEN', keys.state) == 0 then
      return {}
    end
    steady = ordered == known and ordered <= MOST and buried <= MOST
    local ids = steady and redis.call('ZRANGE', keys.order, 0, -1) or {}
    local held = redis.call('HMGET', keys.state, 'expires', 'expiring')
    -- What expires by the ledger alone does so without any change.
    steady = steady and not held[2]
    see(redis.call('HGETALL', keys.state))
    if steady then
      see(redis.call('ZRANGE', keys.order, 0, -1, 'WITHSCORES'))
      see(redis.call('HGETALL', keys.tombstones))
    end
    for first = 1, #ids, FEW do
      local last = math.min(first + FEW - 1, #ids)
      for _, entry in ipairs(steady and redis.call('HMGET', keys.entries, unpack(ids, first, last)) or {}) do
        see(entry)
      end
    end
    return ids, held[1] or ''
  end

  local ids, until_when = see_ledger()
  local owner = steady and layout.inputs and layout.inputs(keys, { value = see, expiry = see_expiry, key = see_key }, ids)
  if not owner or not steady or ((until_when or '') ~= '' and not expires) then
    return false
  end
  return { redis.sha1hex(cmsgpack.pack(parts)), owner }
end
