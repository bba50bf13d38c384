-- Reads one document, or some of its fields, or only what the ledger says of it. Replies {`found`, …the document},
-- {`missing`}, {`other`, …}, {`problem`, …}, or {`large`}: there is more than the `room` that the caller has. Changes nothing, but for the migrator: it writes down in the ledger what another
-- program did, as nothing else would tell a next change of that from this one.

-- Whose document it must be; the migrator reads them all.
local scope = take_list()
-- `all` fields, `some` of them, which follow, or `none`; `size`: in their place how many bytes they have; `adopt` is all,
-- and writes down; so does `outline`, which is none.
local wanted = take()
local names = take_list()
-- How many bytes the reply may have, about; 0 for any number.
local room = tonumber(take())

local function size_of(parts)
  local bytes = 0
  for _, part in ipairs(parts) do
    bytes = bytes + (type(part) == 'string' and #part or 0)
  end
  return bytes
end

local function is_large(parts)
  return room > 0 and size_of(parts) > room
end

local state, wrong = open()
if wrong and not scope[1] and is_large(wrong) then
  return { 'large' }
elseif wrong then
  if scope[1] and wrong[1] == 'other' then
    return { 'missing' }
  elseif scope[1] then
    return scoped(wrong, scope[1]) or { 'missing' }
  end
  return wrong
elseif scope[1] and (not state.held or state.user ~= scope[1]) then
  return { 'missing' }
elseif not state.held and state.deleted == 0 then
  return { 'missing' }
end
if wanted == 'outline' then
  adopt(state)
  state.rest = ''
end
if state.held and (wanted == 'none' or wanted == 'some' or wanted == 'outline') then
  local some = {}
  for _, name in ipairs(names) do
    local value = field_of(state.held.fields, name)
    if value then
      some[#some + 1] = name
      some[#some + 1] = value
    end
  end
  state.held.fields = some
end
if state.held and wanted == 'size' then
  state.held.fields = { '', tostring(size_of(state.held.fields) + #state.rest) }
end
if state.held and (is_large(state.held.fields) or is_large({ state.rest })) then
  return { 'large' }
end
if wanted == 'adopt' then
  adopt(state)
end
return reply('found', state)
