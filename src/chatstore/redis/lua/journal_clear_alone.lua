-- Removes those marks on whose keys no foreign mark stands: KEYS are marks, bodies, then each mark's user's. The
-- arguments are the marks' tokens and keys, and the tokens that are not foreign. Replies the tokens that were left.
local tokens, names, known = take_list(), take_list(), {}
for _, list in ipairs({ tokens, take_list() }) do
  for _, token in ipairs(list) do
    known[token] = true
  end
end

local function is_contested(user_marks, key)
  for _, token in ipairs(tokens_on(user_marks, key)) do
    if not known[token] then
      return true
    end
  end
  return false
end

local left = {}
for i, token in ipairs(tokens) do
  if is_contested(KEYS[i + 2], names[i]) then
    left[#left + 1] = token
  else
    clear_mark(KEYS[1], KEYS[2], KEYS[i + 2], names[i], token)
  end
end
return left
