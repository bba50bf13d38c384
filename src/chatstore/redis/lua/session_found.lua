-- Writes down messages of a session that its search index does not know, but whose keys were met. Replies nil where all of
-- them were known, {`found`} where they are written down now, or a problem.

-- Whether to write down as well what the index knows and the ledger does not.
local whole = take() == '1'
local is_new = layout.found(keys, take_list())
if not is_new and not whole then
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
return is_new and { 'found' } or nil
