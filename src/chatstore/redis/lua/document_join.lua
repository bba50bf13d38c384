-- Joins a document's state from the other side into this one: the newer of the document and its deletion.
-- Replies {`joined`}, {`conflict`}, {`refused`, reason}, {`other`, …}, or {`problem`, …}.

local user, deleted = take(), tonumber(take())
local incoming = nil
if take() == '1' then
  incoming = {
    version = tonumber(take()),
    created = take(),
    updated = take(),
    expires = take(),
    rest = take(),
    fields = take_list(),
  }
end

local state, wrong = open()
if wrong then
  return wrong
elseif state.held and state.user ~= user or is_anothers(user, incoming and incoming.fields or {}) then
  return { 'conflict' }
end

state.user = user
state.deleted = math.max(state.deleted, deleted)
local wins = incoming and (not state.held or incoming.version > state.version)
local newest = wins and incoming.version or state.held and state.version or 0
local expired = wins and incoming.expires ~= '' and tonumber(incoming.expires) <= clock()
if newest <= state.deleted or expired then
  drop(state)
elseif wins then
  for _, name in ipairs({ 'version', 'created', 'updated', 'expires', 'rest' }) do
    state[name] = incoming[name]
  end
  state.mapped = ''
  wrong = store(state, incoming.fields)
  if wrong then
    return { 'refused', wrong[3] }
  end
  set_expiry(state, incoming.expires)
end
save(state)
return { 'joined' }
