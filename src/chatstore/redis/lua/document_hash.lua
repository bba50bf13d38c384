-- What `document.lua` needs of a layout of hashes without times. `MARKS` are fields of which one at least tells that a hash
-- is a document, and not another layout's under the same prefix; `TEXT` and `VECTOR` are those of text and embedding.

local layout = {}

function layout.load(keys)
  local fields, wrong = hash_at(keys.document)
  if wrong then
    return nil, wrong
  elseif #fields == 0 then
    return nil
  end
  for _, name in ipairs(MARKS) do
    if field_of(fields, name) then
      return { fields = fields, expires = expiry_of(keys.document) }
    end
  end
  local reason = 'it has none of the fields ' .. table.concat(MARKS, ', ') .. ', so it is no document of this layout'
  return nil, { 'other', keys.document, reason, table.concat(fields, '\n') }
end

local function digest_of_field(fields, name)
  local value = field_of(fields, name) or ''
  return value ~= '' and redis.sha1hex(value) or ''
end

function layout.parts(_, held)
  return { digest_of_field(held.fields, TEXT), digest_of_field(held.fields, VECTOR) }
end

-- Fields that hold JSON objects, one of whose members may say whose the document is. A member that says no name is not
-- one by its copy in a field, where a list is text, too.
function layout.owner_in(fields, name)
  local named = field_of(fields, name)
  for _, object in ipairs(OBJECTS) do
    local raw = field_of(fields, object.field)
    if raw then
      local value, reason = named_in_json(raw, object.path, name, object.escaped)
      if reason then
        return nil, object.field .. reason
      end
      named = named and named ~= '' and named or value
    end
  end
  return named
end
