-- Writes down the order of a list that another program wrote, so that a long one need not be parsed for every part.
-- Replies nil when that is done, {`adopt`} when it must be run again to do the rest, or a problem.

-- Whether to look at all messages of a long list, since one of them was seen to be edited.
if take() == '1' then
  layout.suspect()
end
local state, wrong = open()
if wrong or not state.header then
  return wrong
end
wrong = adopt(state)
if not wrong then
  save(state)
end
return wrong
