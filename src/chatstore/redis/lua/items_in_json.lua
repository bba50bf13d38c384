-- The items of a sequence in a JSON array, in a field of the header's hash. The array is split where its items part, and
-- none of them is decoded, so each keeps its bytes; what is between them is not kept.

local QUOTE, BACKSLASH, OPEN, CLOSE, OPEN_OBJECT, CLOSE_OBJECT, COMMA = 34, 92, 91, 93, 123, 125, 44

-- Returns the place behind the string that begins at a place; nil when it does not end.
local function behind_string(json, at)
  at = at + 1
  while true do
    at = json:find('["\\]', at)
    if not at then
      return nil
    elseif json:byte(at) == QUOTE then
      return at + 1
    end
    at = at + 2
  end
end

-- Returns the text between two places without the spaces around it; nil when there is nothing else.
local function without_spaces(json, first, last)
  first = json:find('[^ \t\r\n]', first)
  if not first or first > last then
    return nil
  end
  while json:find('^[ \t\r\n]', last) do
    last = last - 1
  end
  return json:sub(first, last)
end

-- Returns the texts of an array's items; nil and a reason when it is none.
local function split_array(json)
  local at = json:match('^[ \t\r\n]*%[()')
  if not at then
    return nil, 'is no JSON array'
  end
  local items, start, closers, depth = {}, at, {}, 0
  while true do
    local place = json:find('["%[%]{},]', at)
    local byte = place and json:byte(place)
    at = place and (byte == QUOTE and behind_string(json, place) or byte ~= QUOTE and place + 1)
    if not at then
      return nil, 'is a JSON array that does not end'
    elseif byte == OPEN or byte == OPEN_OBJECT then
      depth = depth + 1
      closers[depth] = byte + 2
    elseif depth > 0 and (byte == CLOSE or byte == CLOSE_OBJECT) then
      if closers[depth] ~= byte then
        return nil, 'is a JSON array whose brackets do not match'
      end
      depth = depth - 1
    elseif depth == 0 and byte ~= QUOTE then
      local item = without_spaces(json, start, place - 1)
      start = at
      if item then
        items[#items + 1] = item
      elseif byte ~= CLOSE or #items > 0 then
        return nil, 'is a JSON array with nothing where an item should be'
      end
      if byte == CLOSE then
        if json:find('[^ \t\r\n]', at) then
          return nil, 'is a JSON array, and then something else'
        end
        return items
      elseif byte == CLOSE_OBJECT then
        return nil, 'is a JSON array whose brackets do not match'
      end
    end
  end
end

-- The `id` of an object; nil where it has none, or where that is no text.
local function id_in_json(item)
  if not item:find('"id"', 1, true) then
    return nil
  end
  local fine, decoded = pcall(cjson.decode, item)
  local id = fine and type(decoded) == 'table' and decoded.id
  return type(id) == 'string' and id ~= '' and id or nil
end

local function items_in_json(field)
  local storage = { expected = 'hash', at_hand = true, own_id = id_in_json }
  local held, reason, changed

  local function all(keys)
    if not held then
      held, reason = split_array(redis.call('HGET', keys.header, field) or '[]')
      reason = reason and field .. ' ' .. reason
      held = held or {}
    end
    return held
  end

  function storage.key(keys)
    return keys.header
  end

  function storage.wrong(keys)
    all(keys)
    return reason, reason and redis.call('HGET', keys.header, field)
  end

  function storage.length(keys)
    return #all(keys)
  end

  function storage.items(keys, first, last)
    local items, found = all(keys), {}
    for rank = first, math.min(last, #items - 1) do
      found[#found + 1] = items[rank + 1]
    end
    return found
  end

  function storage.push(keys, item)
    table.insert(all(keys), item)
    changed = true
  end

  function storage.set(keys, rank, item)
    all(keys)[rank + 1] = item
    changed = true
  end

  function storage.insert(keys, rank, item)
    table.insert(all(keys), rank + 1, item)
    changed = true
  end

  function storage.remove(keys, rank)
    table.remove(all(keys), rank + 1)
    changed = true
  end

  function storage.clear()
    held, reason, changed = {}, nil, true
  end

  function storage.forget()
    held, reason, changed = {}, nil, false
  end

  function storage.flush(keys)
    if changed then
      redis.call('HSET', keys.header, field, '[' .. table.concat(held, ',') .. ']')
      changed = false
    end
  end

  return storage
end
