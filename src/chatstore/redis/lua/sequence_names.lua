-- What names the items of a sequence, and which of them is which after another program changed it. `storage` is what the
-- head of `sequence.lua` lists.
--
-- Identity. A message that chatstore wrote has its id in the ledger. Any other is named by its own id, where it has one that
-- is nobody else's, or by a digest of its text and the position that it had when it was first written down: so two equal
-- ones are two, and neither growing nor trimming makes an old one new. Before a session is written down the position is
-- the rank.

local DIGEST = 16
-- A list of more items than this is compared by its length and its ends.
local EXACT = 200
-- And of large items no more than this at either end: they would be read in every call.
local END_BYTES = 1048576
-- So many items are looked at at a time: each may have megabytes.
local FEW = 40

local function digest(item)
  return redis.sha1hex(item):sub(1, DIGEST)
end

-- Returns an item's own id, if it can be a message's: text that is anything but letters, digits and signs is not trusted.
local function own_id_of(storage, item)
  local own = storage.own_id and storage.own_id(item)
  return own and #own < 256 and own:match('^[\33-\126][\32-\126]*$')
end

-- What an item is recognised by: a digest, of its own id where it has one; and then another one, that tells an edit.
local function mark_of(storage, item)
  if not storage.own_id then
    return digest(item)
  end
  local own, whole = own_id_of(storage, item), digest(item)
  return (own and digest('id:' .. own) or whole) .. whole
end

local function name_in(mark)
  return mark:sub(1, DIGEST)
end

-- What a message that is written down was recognised by. The body of an entry begins with it, unless the id does.
local function split_body(storage, id, body)
  local width = storage.own_id and 2 * DIGEST or DIGEST
  if body == '' then
    return id:sub(1, DIGEST), ''
  end
  return body:sub(1, width), body:sub(width + 1)
end

local function mark_in_ledger(storage, id, entry)
  local mark = split_body(storage, id, entry and read_entry(nil, entry).body or '')
  return mark
end

local function exact(storage)
  return storage.at_hand and math.huge or EXACT
end

local function signature(storage, keys)
  local length, seen = storage.length(keys), ''
  -- Looks at items from one rank to another, in this order; returns the rank that it did not come to.
  local function see(from, to)
    local direction, bytes, width = from <= to and 1 or -1, 0, 1
    while (to - from) * direction >= 0 and (bytes < END_BYTES or storage.at_hand) do
      local reach = from + direction * math.min(width - 1, math.abs(to - from))
      local part = table.concat(storage.items(keys, math.min(from, reach), math.max(from, reach)), '\n')
      seen, bytes = redis.sha1hex(seen .. part), bytes + #part
      from, width = reach + direction, math.min(2 * width, FEW)
    end
    return from
  end
  local reached = length > 0 and see(0, math.min(length, exact(storage)) - 1) or 0
  if reached < length then
    see(length - 1, math.max(reached, length - EXACT))
  end
  return length .. ':' .. seen
end

-- Returns what gives an id to an item that is not written down: one that no other message has, alive or deleted.
local function namer(storage, keys)
  local given = {}
  local function is_taken(id)
    return given[id]
      or redis.call('ZSCORE', keys.order, id)
      or redis.call('HEXISTS', keys.tombstones, id) == 1
  end
  return function(item, position)
    local id = own_id_of(storage, item)
    if not id or is_taken(id) then
      local first, n = digest(item) .. '-' .. text(position), 1
      id = first
      while is_taken(id) do
        n = n + 1
        id = first .. '.' .. n
      end
    end
    given[id] = true
    return id
  end
end

-- The messages that the ledger knows, in order: {id, position, mark, raw}; all, or those of some ranks.
local function known_messages(storage, keys, first_rank, last_rank)
  local members = redis.call('ZRANGE', keys.order, first_rank or 0, last_rank or -1, 'WITHSCORES')
  local known = {}
  for i = 1, #members, 2 do
    known[#known + 1] = { id = members[i], position = tonumber(members[i + 1]) }
  end
  for first = 1, #known, 1000 do
    local ids = {}
    for i = first, math.min(first + 999, #known) do
      ids[#ids + 1] = known[i].id
    end
    for i, raw in ipairs(redis.call('HMGET', keys.entries, unpack(ids))) do
      local one = known[first + i - 1]
      one.raw = raw
      one.mark = mark_in_ledger(storage, one.id, raw)
    end
  end
  return known
end

-- Returns how many items from a rank on are the known messages from a rank on, of so many; backwards with a step of -1.
local function run_of_same(storage, keys, item_rank, known_rank, count, step)
  local done = 0
  while done < count do
    local part = math.min(FEW, count - done)
    local low_item = step > 0 and item_rank + done or item_rank - done - part + 1
    local low_known = step > 0 and known_rank + done or known_rank - done - part + 1
    local items = storage.items(keys, low_item, low_item + part - 1)
    local known = known_messages(storage, keys, low_known, low_known + part - 1)
    for n = 1, part do
      local i = step > 0 and n or part - n + 1
      if mark_of(storage, items[i]) ~= known[i].mark then
        return done + n - 1
      end
    end
    done = done + part
  end
  return done
end

-- Returns whether items are the known messages: all are looked at where they are few, or where an edit is suspected, else
-- the ends.
local function are_same(storage, keys, item_rank, known_rank, count)
  if count <= 2 * EXACT or storage.at_hand or storage.suspected then
    return run_of_same(storage, keys, item_rank, known_rank, count, 1) == count
  end
  local rest = count - EXACT
  return run_of_same(storage, keys, item_rank, known_rank, EXACT, 1) == EXACT
    and run_of_same(storage, keys, item_rank + rest, known_rank + rest, EXACT, 1) == EXACT
end

local REMOVED_AT_ONCE = 5000

-- Returns how many of the oldest known messages another program trimmed from the list, where it did nothing else but add
-- new ones: 0 where it did not even that; nil where it did something else.
local function trimmed_by(storage, keys, known_count, length)
  if known_count <= length and are_same(storage, keys, 0, 0, known_count) then
    return 0
  elseif length == 0 then
    return nil
  end
  local oldest, tried = mark_of(storage, storage.items(keys, 0, 0)[1]), 0
  local least = math.max(1, known_count - length)
  if least == 1 and known_messages(storage, keys, 0, 0)[1].mark == oldest then
    return nil
  end
  for first = least, known_count - 1, 1000 do
    for i, one in ipairs(known_messages(storage, keys, first, math.min(first + 999, known_count - 1))) do
      if one.mark == oldest then
        local by = first + i - 1
        if are_same(storage, keys, 0, by, known_count - by) then
          return by
        end
        tried = tried + 1
        if tried == 20 then
          return nil
        end
      end
    end
  end
  return nil
end

-- The view of a sequence that was trimmed at its oldest end and grew at its newest: what is new is named when it is asked
-- for. A long one is written down in parts: first what was trimmed, then what is new.
local function grown_view(storage, keys, known_count, length, trimmed)
  local kept, first_position = known_count - trimmed, position_behind(keys)
  local name, named = namer(storage, keys), {}
  local function item_at(rank, item)
    if not named[rank] then
      local position = first_position + rank - kept
      named[rank] = { id = name(item, position), position = position, item = item }
    end
    return named[rank]
  end
  if storage.own_id then
    -- Which of two items with one id comes first must not depend on what is asked for.
    for i, item in ipairs(storage.items(keys, kept, length - 1)) do
      item_at(kept + i - 1, item)
    end
  end
  local view = { size = length, from = kept, to = length, in_parts = true, removed = {} }
  if trimmed > 0 then
    view.removed = redis.call('ZRANGE', keys.order, 0, math.min(trimmed, REMOVED_AT_ONCE) - 1)
    view.more = trimmed > REMOVED_AT_ONCE
  end
  function view.slice(first, last_rank)
    local found = {}
    if last_rank < first then
      return found
    end
    local members = redis.call('ZRANGE', keys.order, first + trimmed, last_rank + trimmed, 'WITHSCORES')
    for i, item in ipairs(storage.items(keys, first, last_rank)) do
      local rank = first + i - 1
      if rank < kept then
        local id, position = members[2 * i - 1], tonumber(members[2 * i])
        found[i] = { id = id, position = position, item = item, known = true }
      else
        found[i] = item_at(rank, item)
      end
    end
    return found
  end
  return view
end

-- Returns how many of the last known names are the first ones of the sequence: all of it that was there before, where
-- it was trimmed at its oldest end (Knuth, Morris and Pratt).
local function overlap(known, names)
  local back, matched = { 0 }, 0
  for i = 2, #names do
    while matched > 0 and names[matched + 1] ~= names[i] do
      matched = back[matched]
    end
    matched = matched + (names[matched + 1] == names[i] and 1 or 0)
    back[i] = matched
  end
  matched = 0
  for _, one in ipairs(known) do
    if matched == #names then
      matched = back[matched] or 0
    end
    while matched > 0 and names[matched + 1] ~= name_in(one.mark) do
      matched = back[matched]
    end
    matched = matched + (names[matched + 1] == name_in(one.mark) and 1 or 0)
  end
  return matched
end

-- Returns which known message each item is, by their names: what is equal stays what it was, as many as there are.
local function aligned(known, names)
  local match, taken = {}, {}
  local function pair(i, k)
    match[i], taken[k] = k, true
  end
  local shorter = math.min(#known, #names)
  local head, tail = 0, 0
  while head < shorter and name_in(known[head + 1].mark) == names[head + 1] do
    head = head + 1
  end
  while tail < shorter - head and name_in(known[#known - tail].mark) == names[#names - tail] do
    tail = tail + 1
  end
  local kept = head + tail < shorter and overlap(known, names) or 0
  if kept > head + tail then
    head, tail = 0, 0
    for i = 1, kept do
      pair(i, #known - kept + i)
    end
  end
  for i = 1, head do
    pair(i, i)
  end
  for i = 0, tail - 1 do
    pair(#names - i, #known - i)
  end
  local queues = {}
  for k = #known, 1, -1 do
    if not taken[k] then
      local name = name_in(known[k].mark)
      queues[name] = { k, queues[name] }
    end
  end
  for i, name in ipairs(names) do
    local queue = not match[i] and queues[name]
    if queue then
      match[i], queues[name] = queue[1], queue[2]
    end
  end
  return match
end

-- The messages between those at the head and those at the tail that are as they were; and the known ones that are gone.
-- What is left of the known ones keeps its id, and its place where the order allows it; else, and where its text is another
-- now, it is a newer state of it. What is between or behind them is new, and has the place behind its predecessor.
local function between(storage, keys, known_count, length, head, tail)
  local name, names, marks = namer(storage, keys), {}, {}
  for first = head, length - tail - 1, FEW do
    for _, item in ipairs(storage.items(keys, first, math.min(first + FEW - 1, length - tail - 1))) do
      marks[#marks + 1] = mark_of(storage, item)
      names[#names + 1] = name_in(marks[#marks])
    end
  end
  local known = head < known_count - tail and known_messages(storage, keys, head, known_count - tail - 1) or {}
  local before = head > 0 and redis.call('ZRANGE', keys.order, head - 1, head - 1, 'WITHSCORES')
  local last = before and tonumber(before[2]) or -1
  if head == known_count then
    last = position_behind(keys) - 1
  end
  local match, found, stays = aligned(known, names), {}, {}
  for i, mark in ipairs(marks) do
    local k = match[i]
    local one = known[k]
    if not one then
      local item = storage.items(keys, head + i - 1, head + i - 1)[1]
      found[i] = { id = name(item, last + 1), position = last + 1, mark = mark }
    elseif one.position > last and one.mark == mark then
      found[i] = { id = one.id, position = one.position, known = true }
    else
      found[i] = { id = one.id, position = math.max(one.position, last + 1), mark = mark, was = one.raw }
    end
    stays[k or 0], last = true, found[i].position
  end
  local removed = {}
  for k, one in ipairs(known) do
    if not stays[k] then
      removed[#removed + 1] = one.id
    end
  end
  return found, removed, last
end

-- The view of a sequence that another program changed in any other way.
local function changed_view(storage, keys, known_count, length)
  local shorter = math.min(known_count, length)
  local head = run_of_same(storage, keys, 0, 0, shorter, 1)
  local tail = run_of_same(storage, keys, length - 1, known_count - 1, shorter - head, -1)
  local found, removed, last = between(storage, keys, known_count, length, head, tail)
  if tail > 0 then
    local behind = redis.call('ZRANGE', keys.order, known_count - tail, known_count - tail, 'WITHSCORES')
    if last >= tonumber(behind[2]) then
      -- There is no place left before the tail: it must move.
      tail = 0
      found, removed = between(storage, keys, known_count, length, head, tail)
    end
  end
  local view = { size = length, from = head, to = length - tail, removed = removed }
  function view.slice(first, last_rank)
    local slice = {}
    if last_rank < first then
      return slice
    end
    local shift = known_count - length
    local heads = first < head and redis.call('ZRANGE', keys.order, first, last_rank, 'WITHSCORES')
    local tails = last_rank >= view.to
      and redis.call('ZRANGE', keys.order, math.max(first, view.to) + shift, last_rank + shift, 'WITHSCORES')
    for i, item in ipairs(storage.items(keys, first, last_rank)) do
      local rank = first + i - 1
      local message = found[rank - head + 1]
      if rank < head or rank >= view.to then
        local members = rank < head and heads or tails
        local at = rank < head and i or rank - math.max(first, view.to) + 1
        message = { id = members[2 * at - 1], position = tonumber(members[2 * at]), known = true }
      end
      message.item = item
      slice[i] = message
    end
    return slice
  end
  return view
end
