-- A fingerprint of a session: while it is the same, so is all that a reading of the session gives. It is made of what the
-- reading is made of: the ledger, and what the layout's `inputs` names, values and expiries; where the reading notes what it
-- reads, of that. None is told of a session that is too large to be read in one part, or where time alone may change what
-- is read.

local MOST, LARGEST, FEW = 1000, 524288, 40

-- Whether there is nothing of the ledger at all.
local function is_bare()
  return redis.call('EXISTS', keys.state, keys.order, keys.entries, keys.tombstones) == 0
end

local function fingerprint(bare)
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
    local at = noted and noted.moments[key] or moment_of(key)
    -- What is left of the time is another one in a moment.
    steady = steady and (at < 0 or tells_moments)
    expires = expires or at >= 0
    return see(at)
  end

  local function see_key(key)
    see(redis.call('DUMP', key))
    return see_expiry(key)
  end

  local hashes, moments = noted and noted.hashes or {}, noted and noted.moments or {}

  -- As `see_key`, of a hash that is read as a whole anyway. Returns its fields; nil where there may be no more. There are
  -- many of these, so this does by itself what the others do.
  local function see_hash(key)
    local fields = hashes[key]
    if not fields then
      fields = redis.pcall('HGETALL', key)
      if fields.err then
        -- Of an error that is not of its type this makes one of the script.
        call_of_type('HGETALL', key)
        steady = false
        return nil
      end
      for i = 1, #fields do
        bytes = bytes + #fields[i]
      end
    end
    local at = moments[key] or redis.pcall('PEXPIRETIME', key)
    if type(at) == 'table' then
      at = moment_of(key)
    end
    if at >= 0 then
      expires, steady = true, steady and tells_moments
    end
    parts[count + 1], parts[count + 2] = fields, at
    count = count + 2
    steady = steady and bytes <= LARGEST and count <= 4 * MOST
    return steady and fields or nil
  end

  local function see_ledger()
    local ordered, known = redis.call('ZCARD', keys.order), redis.call('HLEN', keys.entries)
    local buried = redis.call('HLEN', keys.tombstones)
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

  local ids, until_when = {}, ''
  if not bare then
    ids, until_when = see_ledger()
  end
  local ways = { value = see, expiry = see_expiry, key = see_key, hash = see_hash }
  local owner = steady and layout.inputs and layout.inputs(keys, ways, ids)
  if not owner or not steady or (until_when ~= '' and not expires) then
    return false
  end
  return { redis.sha1hex(cmsgpack.pack(parts)), owner }
end
