-- Upserts or deletes one document of one user, with its mark, in this one step. Replies {`changed`, …the document},
-- {`missing`}, {`conflict`}, or {`problem`, …}.

local user, op, at, mark = take(), take(), take(), take_mark()

local state, wrong = open()
local mine = state and state.held and state.user == user
if wrong then
  return scoped(wrong, user) or (op == 'delete' and { 'missing' }) or { 'conflict' }
elseif op == 'delete' and not mine then
  return { 'missing' }
elseif state.held and not mine then
  return { 'conflict' }
end

set_mark(keys, mark)
local version = give_version(state)
if op == 'delete' then
  drop(state)
  state.deleted = version
else
  local created, rest, fields = take(), take(), take_list()
  state.user, state.version, state.updated, state.rest = user, version, at, rest
  state.created = mine and state.created or created
  store(state, fields)
  if state.expires ~= '' then
    -- A new write is a new life: it does not end with the old one's.
    expire(keys.document, '')
    state.expires = ''
  end
end
save(state)
return reply('changed', state)
