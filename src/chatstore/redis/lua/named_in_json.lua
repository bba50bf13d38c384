-- Returns the text or whole number that a member of a JSON object holds, or nil; nil and a reason when the JSON cannot be
-- read or the member holds something else. `path` leads to the object.
local function named_in_json(raw, path, name, escaped)
  local text_of = raw
  if escaped then
    text_of = raw:gsub('\\([-:"])', '%1')
  end
  local fine, value = pcall(cjson.decode, text_of)
  if not fine then
    return nil, ' is no JSON that can be read'
  end
  for _, step in ipairs(path) do
    value = type(value) == 'table' and value[step] or nil
  end
  value = type(value) == 'table' and value[name] or nil
  if value == nil or value == cjson.null then
    return nil
  elseif type(value) == 'string' then
    return value
  elseif type(value) == 'number' and value % 1 == 0 and math.abs(value) < 2 ^ 53 then
    return text(value)
  end
  return nil, ' says by ' .. name .. ' no name of a user'
end
