-- Writes down messages of a session that its search index does not know, but a walk over the keys has found. Replies nil
-- where all of them were known, {`found`} where they are written down now, or a problem.

if not layout.found(keys, take_list()) then
  return nil
end
local state, wrong = open()
if wrong or not state.header then
  return wrong
end
wrong = adopt(state)
if wrong then
  return wrong
end
save(state)
return { 'found' }
