-- What `document.lua` needs of a layout of RedisJSON documents: one field, named '', with the document's text. `MARKS` are
-- members of which one at least tells that it is a document; `TEXT` and `VECTOR` are those of text and embedding.

local layout = {}

-- A right that is missing stops the script: else it would look as if the record were at fault.
local function has_mark(key, raw)
  local members = raw:sub(1, 1) == '{' and redis.call('JSON.OBJKEYS', key) or {}
  for _, name in ipairs(members) do
    for _, mark in ipairs(MARKS) do
      if name == mark then
        return true
      end
    end
  end
  return false
end

function layout.load(keys)
  local key = keys.document
  if redis.call('EXISTS', key) == 0 then
    return nil
  elseif redis.call('TYPE', key).ok ~= 'ReJSON-RL' then
    return nil, wrong_type(key, 'JSON document')
  end
  local raw = redis.call('JSON.GET', key)
  if has_mark(key, raw) then
    return { fields = { '', raw }, expires = expiry_of(key), digest = redis.sha1hex(raw) }
  end
  local reason = 'it has none of the members ' .. table.concat(MARKS, ', ') .. ', so it is no document of this layout'
  return nil, { 'other', key, reason, raw }
end

local NOTHING = { ['[]'] = true, ['[null]'] = true, ['[""]'] = true, ['[[]]'] = true }

local function digest_of_member(key, name)
  local path = '$["' .. name:gsub('[\\"]', '\\%0') .. '"]'
  local raw = redis.pcall('JSON.GET', key, path)
  return type(raw) == 'string' and not NOTHING[raw] and redis.sha1hex(raw) or ''
end

function layout.parts(places)
  return { digest_of_member(places.document, TEXT), digest_of_member(places.document, VECTOR) }
end

function layout.store(keys, fields)
  local done = redis.pcall('JSON.SET', keys.document, '$', field_of(fields, '') or 'null')
  if type(done) == 'table' and done.err then
    return problem(keys.document, 'RedisJSON does not take it: ' .. done.err)
  end
  return nil
end

function layout.drop(keys)
  redis.call('DEL', keys.document)
end

function layout.owner_in(fields, name)
  local raw = field_of(fields, '')
  if not raw then
    return nil
  end
  local named, reason = named_in_json(raw, {}, name)
  if reason then
    return nil, 'the document' .. reason
  end
  -- A list there is a text in the member that is its copy.
  for _, object in ipairs(OBJECTS) do
    local inner = named_in_json(raw, {}, object.field)
    if inner then
      reason = select(2, named_in_json(inner, object.path, name, object.escaped))
      if reason then
        return nil, object.field .. reason
      end
    end
  end
  return named
end
