-- What `document.lua` needs of the layout of vector sets: the key is the set's, the document is one of its elements. The
-- fields are `attributes` (JSON), `vector` (its numbers, as text), `exact` when the vector is the one that we added last,
-- `ours` when the attributes are, too, and what the set is like: `quantization` and `reduced`.

-- A set expires as a whole, its elements do not: an expiry of their own is in the ledger alone.
local layout = { shares_expiry = true }

-- Stands for a digest that is not known yet, of what was written just now.
local WRITTEN = '*'
local QUANTIZATIONS = { f32 = 'NOQUANT', int8 = 'Q8', bin = 'BIN' }

-- Some commands of vector sets reply with status texts, which are tables here.
local function plain(value)
  return type(value) == 'table' and (value.ok or tostring(value.double)) or value
end

local function about(key)
  local found = {}
  local info = redis.call('VINFO', key)
  for i = 1, #info, 2 do
    found[plain(info[i])] = plain(info[i + 1])
  end
  return found
end

function layout.load(keys, state)
  local key = keys.document
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then
    return nil
  elseif kind ~= 'vectorset' then
    return nil, wrong_type(key, 'vector set')
  end
  local raw = redis.call('VEMB', key, keys.id, 'RAW')
  if not raw then
    return nil
  end
  local set = about(key)
  local attributes = redis.call('VGETATTR', key, keys.id) or ''
  local parts = {}
  for i, part in ipairs(raw) do
    parts[i] = tostring(plain(part))
  end
  local vector = redis.sha1hex(table.concat(parts, '\0'))
  local fields = {
    'vector', table.concat(redis.call('VEMB', key, keys.id), ' '),
    'attributes', attributes,
    'quantization', set['quant-type'],
    'reduced', tostring(set['projection-input-dim'] or 0),
  }
  local digest = vector .. redis.sha1hex(attributes)
  if state.written == WRITTEN or state.written:sub(1, #vector) == vector then
    fields[#fields + 1] = 'exact'
    fields[#fields + 1] = '1'
  end
  if state.written == WRITTEN or state.written == digest then
    fields[#fields + 1] = 'ours'
    fields[#fields + 1] = '1'
  end
  return { fields = fields, expires = expiry_of(key), digest = digest }
end

-- The text is one of the attributes.
function layout.parts(_, held)
  local length = #held.digest / 2
  local has_attributes = field_of(held.fields, 'attributes') ~= ''
  return { has_attributes and held.digest:sub(length + 1) or '', held.digest:sub(1, length) }
end

function layout.store(keys, fields)
  local key = keys.document
  local exists = redis.call('EXISTS', key) == 1
  local command = { 'VADD', key }
  local quantization = field_of(fields, 'quantization')
  if exists then
    if redis.call('TYPE', key).ok ~= 'vectorset' then
      return wrong_type(key, 'vector set')
    end
    local set = about(key)
    quantization = set['quant-type']
    if set['projection-input-dim'] > 0 then
      command[#command + 1] = 'REDUCE'
      command[#command + 1] = set['vector-dim']
    end
  end
  command[#command + 1] = 'FP32'
  command[#command + 1] = field_of(fields, 'vector') or ''
  command[#command + 1] = keys.id
  command[#command + 1] = QUANTIZATIONS[quantization] or 'Q8'
  local done = redis.pcall(unpack(command))
  if type(done) == 'table' and done.err then
    return problem(key, 'the vector set does not take it: ' .. done.err)
  end
  redis.call('VSETATTR', key, keys.id, field_of(fields, 'attributes') or '')
  return nil
end

function layout.drop(keys)
  if redis.call('TYPE', keys.document).ok == 'vectorset' then
    redis.call('VREM', keys.document, keys.id)
  end
end

function layout.expire()
end

function layout.place(keys)
  return keys.document .. ':' .. keys.id
end

function layout.owner_in(fields, name)
  local raw = field_of(fields, 'attributes') or ''
  if raw == '' then
    return nil
  end
  local named, reason = named_in_json(raw, {}, name)
  if reason then
    return nil, 'attributes' .. reason
  end
  return named
end
