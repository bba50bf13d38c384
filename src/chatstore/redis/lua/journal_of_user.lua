-- Returns the bodies of a user's marks (KEYS: bodies, user's), all or those on the given keys.
local every, tokens = take() == '1', {}
local function add(found)
  for _, token in ipairs(found) do
    tokens[#tokens + 1] = token
  end
end

if every then
  for _, entry in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    add({ token_of(entry) })
  end
else
  for _, name in ipairs(take_list()) do
    add(tokens_on(KEYS[2], name))
  end
end

-- A mark whose body is gone is passed over.
local bodies = {}
for _, token in ipairs(tokens) do
  bodies[#bodies + 1] = redis.call('HGET', KEYS[1], token) or nil
end
return bodies
