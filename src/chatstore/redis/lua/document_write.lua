-- Upserts or deletes one document of one user, with its mark, in this one step. Replies {`changed`, …the document},
-- {`missing`}, {`conflict`}, {`refused`, reason}, or {`problem`, …}.

local user, op, at, mark = take(), take(), take(), take_mark()

local state, wrong = open()
local mine = state and state.held and state.user == user
if wrong and wrong[1] == 'other' then
  return { op == 'delete' and 'missing' or 'conflict' }
elseif wrong then
  return scoped(wrong, user) or (op == 'delete' and { 'missing' }) or { 'conflict' }
elseif op == 'delete' and not mine then
  return { 'missing' }
elseif state.held and not mine then
  return { 'conflict' }
end

local created, rest, fields
if op ~= 'delete' then
  created, rest, fields = take(), take(), take_list()
  if is_anothers(user, fields) then
    return { 'conflict' }
  end
end

set_mark(keys, mark)
local version = give_version(state)
if op == 'delete' then
  drop(state)
  state.deleted = version
else
  state.user, state.version, state.updated, state.rest, state.mapped = user, version, at, rest, ''
  state.created = mine and state.created or created
  wrong = store(state, fields)
  if wrong then
    unset_mark(keys, mark)
    return { 'refused', wrong[3] }
  end
  if state.expires ~= '' then
    -- A new write is a new life: it does not end with the old one's.
    set_expiry(state, '')
  end
end
save(state)
return reply('changed', state)
