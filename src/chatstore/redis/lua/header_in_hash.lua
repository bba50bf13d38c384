-- The header of a sequence in a hash of the framework's own. `names` says:
--
--   owner                 the field that says whose the session is; nil when none does
--   created, updated      the fields that say when it was made and last written; nil when none does
--   micros(value)         reads a time; nil when it is none
--   value(micros)         writes one
--   lost_digits           as of a layout
--   required              true: there is no session without the hash
--   items                 the field that holds the messages; nil when they are elsewhere
--   beside(keys)          the other keys of the session, which expire and end with it
--   needed(keys)          the fields that the framework needs and the codec does not give, names and values in turn
--   saved(keys)           called when the hash was written
--   dropping(keys)        called before it is removed

local function header_in_hash(names)
  local own = { lost_digits = names.lost_digits, required = names.required }

  -- All fields but the one that holds the messages, and those that every session has as we would write them.
  local function all(keys)
    local fields, needed = {}, names.needed(keys)
    for _, name in ipairs(redis.call('HKEYS', keys.header)) do
      local value = name ~= names.items and redis.call('HGET', keys.header, name)
      if value and value ~= field_of(needed, name) then
        fields[#fields + 1] = name
        fields[#fields + 1] = value
      end
    end
    return fields
  end

  local function time_of(fields, name)
    local value = name and field_of(fields, name)
    if not value then
      return nil
    end
    local micros = names.micros(value)
    return micros, not micros
  end

  function own.read(keys)
    local kind = redis.call('TYPE', keys.header).ok
    if kind == 'none' then
      return nil
    elseif kind ~= 'hash' then
      return nil, wrong_type(keys.header)
    end
    local fields = all(keys)
    local header = { fields = fields }
    local function bad(reason)
      return nil, problem(keys.header, reason, table.concat(fields, '\n'), header.owner)
    end
    if names.owner then
      header.owner = field_of(fields, names.owner) or ''
      if header.owner == '' then
        header.owner = nil
        return bad('it has no ' .. names.owner)
      end
    end
    local created, no_time = time_of(fields, names.created)
    local updated, no_time_either = time_of(fields, names.updated)
    if no_time or no_time_either then
      return bad((no_time and names.created or names.updated) .. ' is no time that could not be another')
    end
    header.created, header.updated = created, updated
    return header
  end

  function own.see(keys, see)
    see.key(keys.header)
    for _, key in ipairs(names.beside(keys)) do
      see.expiry(key)
      see.value(redis.call('EXISTS', key))
    end
    return redis.call('EXISTS', keys.header) == 1
  end

  function own.owner(keys)
    return names.owner and call_of_type('HGET', keys.header, names.owner)
  end

  -- What another program reads there it must find.
  local function complete(keys)
    local needed = names.needed(keys)
    for i = 1, #needed, 2 do
      redis.call('HSETNX', keys.header, needed[i], needed[i + 1])
    end
    if names.items then
      redis.call('HSETNX', keys.header, names.items, '[]')
    end
    if names.saved then
      names.saved(keys)
    end
  end

  function own.save(keys, fields)
    rewrite_hash(keys.header, fields, names.items and { [names.items] = true })
    complete(keys)
  end

  function own.change(keys, fields)
    call_in_pieces('HSET', keys.header, fields)
  end

  function own.touch(keys, updated)
    if names.updated then
      local expires = own.expires(keys)
      redis.call('HSET', keys.header, names.updated, names.value(updated))
      complete(keys)
      expire(keys.header, expires)
    end
  end

  function own.drop(keys)
    if names.dropping then
      names.dropping(keys)
    end
    redis.call('DEL', keys.header, unpack(names.beside(keys)))
  end

  function own.expires(keys)
    local key = keys.header
    for _, other in ipairs(names.beside(keys)) do
      key = redis.call('EXISTS', key) == 1 and key or other
    end
    return expiry_of(key)
  end

  function own.expire(keys, expires)
    expire(keys.header, expires)
    for _, key in ipairs(names.beside(keys)) do
      expire(key, expires)
    end
  end

  return own
end
