-- Removes those marks on whose keys no foreign mark stands: KEYS are marks, bodies, then each mark's user's. The
-- arguments are the marks' tokens and keys, and the tokens that are not foreign. Replies the tokens that were left.
local tokens, names, known = take_list(), take_list(), {}
for _, list in ipairs({ tokens, take_list() }) do
  for _, token in ipairs(list) do
    known[token] = true
  end
end

local contested = {}
for i = 3, #KEYS do
  if not contested[KEYS[i]] then
    contested[KEYS[i]] = {}
    local standing = redis.call('HGETALL', KEYS[i])
    for j = 1, #standing, 2 do
      if not known[standing[j]] then
        contested[KEYS[i]][standing[j + 1]] = true
      end
    end
  end
end

local left = {}
for i, token in ipairs(tokens) do
  local user_marks = KEYS[i + 2]
  if contested[user_marks][names[i]] then
    left[#left + 1] = token
  else
    redis.call('ZREM', KEYS[1], token)
    redis.call('HDEL', KEYS[2], token)
    redis.call('HDEL', user_marks, token)
  end
end
return left
