-- Writes down the order of a list that another program wrote, so that a long one need not be parsed for every part.

local state, wrong = open()
if wrong or not state.header then
  return wrong
end
wrong = adopt(state)
if not wrong then
  save(state)
end
return wrong
