-- Reads one document, or only what the ledger says of it. Replies {`found`, …the document}, {`missing`}, or {`problem`, …}. Changes nothing.

-- Whose document it must be; the migrator reads them all.
local scope = take_list()
local whole = take() == '1'

local state, wrong = open()
if wrong then
  if scope[1] then
    return scoped(wrong, scope[1]) or { 'missing' }
  end
  return wrong
elseif scope[1] and (not state.held or state.user ~= scope[1]) then
  return { 'missing' }
elseif not state.held and state.deleted == 0 then
  return { 'missing' }
end
if state.held and not whole then
  state.held.fields = {}
end
return reply('found', state)
