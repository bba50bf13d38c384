-- A layout whose messages have no ids of their own: a sequence of items, each one text, that only grows at its newest
-- end, or is trimmed. A session has its title, its metadata and its user in a hash of ours, the companion, where the
-- layout has no place for them.
--
-- `sequence` makes the primitives of `session.lua` of a few on items, which are counted from 0, the oldest:
--
--   expected                        the type of the key that holds the items
--   length(keys)                    how many items there are
--   items(keys, first, last)        the items from one to the other; fewer where there are not so many
--   push(keys, item)                adds an item at the newest end
--   set(keys, rank, item)           replaces an item
--   insert(keys, rank, item)        adds an item before the one of that rank
--   remove(keys, rank)              removes an item
--   clear(keys)                     removes all items
--   own_id(item)                    the item's own id, or nil; absent where items have none
--   wrong(keys)                     why the items cannot be read, or nil; absent where a list of any text is fine
--
-- Identity. A message that chatstore wrote has its id in the ledger. Any other is named by a digest of its text and the
-- position that it had when it was first written down: so two equal ones are two, and neither growing nor trimming
-- makes an old one new. Before a session is written down the position is the rank.

local DIGEST = 16
-- A list of more items than this is compared by its length and its ends.
local EXACT = 200

local function digest(item)
  return redis.sha1hex(item):sub(1, DIGEST)
end

-- What an item is recognised by: a digest, of its own id where it has one.
local function name_of(storage, item)
  local own = storage.own_id and storage.own_id(item)
  return digest(own and 'id:' .. own or item)
end

-- What a message that is written down was recognised by. The body of an entry begins with it, unless the id does.
local function name_in_ledger(id, entry)
  local body = entry and read_entry(nil, entry).body or ''
  return body ~= '' and body:sub(1, DIGEST) or id:sub(1, DIGEST)
end

local function signature(storage, keys)
  local length = storage.length(keys)
  local ends = storage.items(keys, 0, math.min(length, EXACT) - 1)
  if length == 0 then
    ends = {}
  elseif length > EXACT then
    for _, item in ipairs(storage.items(keys, math.max(EXACT, length - EXACT), length - 1)) do
      ends[#ends + 1] = item
    end
  end
  return length .. ':' .. redis.sha1hex(table.concat(ends, '\n'))
end

-- Returns an id for an item that is not written down: no other message, alive or deleted, has it.
local function fresh_id(storage, keys, item, position, used)
  local own = storage.own_id and storage.own_id(item)
  if own and not used[own] and redis.call('HEXISTS', keys.tombstones, own) == 0 then
    return own
  end
  local id = digest(item) .. '-' .. text(position)
  local again, n = id, 1
  while used[again] or redis.call('HEXISTS', keys.tombstones, again) == 1 do
    n = n + 1
    again = id .. '.' .. n
  end
  return again
end

-- The messages that the ledger knows, in order: {id, position, name}.
local function known_messages(keys)
  local members = redis.call('ZRANGE', keys.order, 0, -1, 'WITHSCORES')
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
      one.name = name_in_ledger(one.id, raw)
    end
  end
  return known
end

-- Returns whether the known messages are the first ones of the sequence: all are looked at where they are few, else the ends.
local function has_grown(storage, keys, known_count, length)
  if known_count > length then
    return false
  elseif known_count == 0 then
    return true
  end
  local function same(rank)
    local id = redis.call('ZRANGE', keys.order, rank, rank)[1]
    local raw = redis.call('HGET', keys.entries, id)
    return name_of(storage, storage.items(keys, rank, rank)[1]) == name_in_ledger(id, raw)
  end
  if known_count > EXACT then
    return same(0) and same(known_count - 1)
  end
  for rank = known_count - 1, 0, -1 do
    if not same(rank) then
      return false
    end
  end
  return true
end

-- The view of a sequence that grew at its newest end: what is new is named when it is asked for.
local function grown_view(storage, keys, known_count, length)
  local last = redis.call('ZRANGE', keys.order, -1, -1, 'WITHSCORES')
  local next_position = last[2] and tonumber(last[2]) + 1 or 0
  local used = {}
  if storage.own_id and known_count > 0 then
    for _, id in ipairs(redis.call('ZRANGE', keys.order, 0, -1)) do
      used[id] = true
    end
  end
  local named = {}
  local function item_at(rank, item)
    if not named[rank] then
      local position = next_position + rank - known_count
      local id = fresh_id(storage, keys, item, position, used)
      used[id] = storage.own_id and true or nil
      named[rank] = { id = id, position = position, item = item }
    end
    return named[rank]
  end
  if storage.own_id then
    -- Which of two items with one id comes first must not depend on what is asked for.
    for i, item in ipairs(storage.items(keys, known_count, length - 1)) do
      item_at(known_count + i - 1, item)
    end
  end
  local view = { size = length, grown_from = known_count }
  function view.slice(first, last)
    local found = {}
    if last < first then
      return found
    end
    local members = redis.call('ZRANGE', keys.order, first, last, 'WITHSCORES')
    for i, item in ipairs(storage.items(keys, first, last)) do
      local rank = first + i - 1
      if rank < known_count then
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

-- The view of a sequence that another program changed in any other way. What is left of the known messages keeps id
-- and place; whatever is between or behind them is new, and has the place behind its predecessor. A known one
-- whose place a new one needed is new itself: so the order is always the sequence's.
local function changed_view(storage, keys, length)
  local places, at = {}, {}
  local known = known_messages(keys)
  for i, one in ipairs(known) do
    places[one.name] = places[one.name] or {}
    table.insert(places[one.name], i)
  end
  local items, listed, reached, last = {}, {}, 0, -1
  for first = 0, length - 1, 1000 do
    for _, item in ipairs(storage.items(keys, first, math.min(first + 999, length - 1))) do
      local name = name_of(storage, item)
      local queue, found = places[name] or {}, nil
      local next_at = at[name] or 1
      while queue[next_at] and not found do
        local candidate = queue[next_at]
        next_at = next_at + 1
        if candidate > reached and known[candidate].position > last then
          found = candidate
        end
      end
      at[name] = next_at
      if found then
        items[#items + 1] = { id = known[found].id, position = known[found].position, known = true }
        reached = found
      else
        local id = fresh_id(storage, keys, item, last + 1, listed)
        items[#items + 1] = { id = id, position = last + 1, name = name }
      end
      last = items[#items].position
      listed[items[#items].id] = true
    end
  end
  local view = { size = length }
  function view.lists(id)
    return listed[id]
  end
  function view.slice(first, last_rank)
    local found = {}
    for i, item in ipairs(storage.items(keys, first, last_rank)) do
      found[i] = items[first + i]
      found[i].item = item
    end
    return found
  end
  return view
end

local function sequence(storage)
  local layout = { lost_digits = 0, storage = storage }

  -- The part of a header that is ours: its user, and the fields of the companion.
  function layout.companion(keys)
    return redis.call('HGETALL', keys.companion)
  end

  function layout.header(keys, state)
    local kind = redis.call('TYPE', keys.header).ok
    if kind ~= storage.expected and kind ~= 'none' then
      return nil, wrong_type(keys.header, storage.expected)
    end
    local fields = layout.companion(keys)
    local expired = state.expires ~= '' and tonumber(state.expires) <= clock()
    if kind == 'none' and (#fields == 0 or expired) then
      return nil
    end
    local owner = keys.owner ~= '' and keys.owner or field_of(fields, 'user')
    if not owner then
      return nil, problem(keys.header, NOBODYS)
    end
    local reason = storage.wrong and storage.wrong(keys)
    if reason then
      return nil, problem(keys.header, reason, '', owner)
    end
    return { owner = owner, fields = fields, expires = kind == 'none' and state.expires or expiry_of(keys.header) }
  end

  function layout.save(keys, fields)
    rewrite_hash(keys.companion, fields)
  end

  function layout.change(keys, fields)
    call_in_pieces('HSET', keys.companion, fields)
  end

  function layout.touch()
  end

  function layout.drop(keys)
    storage.clear(keys)
    redis.call('DEL', keys.companion)
  end

  function layout.view(keys, state)
    local now = signature(storage, keys)
    if redis.sha1hex(now) == state.listing then
      return nil
    end
    local length, known_count = storage.length(keys), redis.call('ZCARD', keys.order)
    local view
    if has_grown(storage, keys, known_count, length) then
      view = grown_view(storage, keys, known_count, length)
    else
      view = changed_view(storage, keys, length)
    end
    view.listing = now
    return view
  end

  -- Fetches the items of messages that the ledger knows, from a rank on.
  function layout.fill(keys, found, first)
    for i, item in ipairs(storage.items(keys, first, first + #found - 1)) do
      found[i].item = item
    end
  end

  function layout.append(keys)
    return signature(storage, keys)
  end

  function layout.relist(keys)
    return signature(storage, keys)
  end

  function layout.load(keys, message, body, state)
    local item = message.item
    if not item then
      local rank = redis.call('ZRANK', keys.order, message.id)
      item = rank and storage.items(keys, rank, rank)[1]
    end
    local key = keys.header .. '#' .. message.id
    if not item then
      return nil, problem(key, 'the ledger knows it, but it is not there')
    end
    local created = text(tonumber(state.created ~= '' and state.created or '0') + message.position)
    return { 'item', item }, body:sub(DIGEST + 1), created, key
  end

  function layout.store(keys, id, fields, rest, was, rank)
    local item = field_of(fields, 'item')
    if was == rank then
      storage.set(keys, rank, item)
    else
      if was then
        storage.remove(keys, was)
      end
      if rank == storage.length(keys) then
        storage.push(keys, item)
      else
        storage.insert(keys, rank, item)
      end
    end
    return name_of(storage, item) .. rest
  end

  function layout.edit(keys, id, fields, body, rest)
    local item = field_of(fields, 'item')
    storage.set(keys, redis.call('ZRANK', keys.order, id), item)
    return name_of(storage, item) .. rest
  end

  function layout.remove(keys, id)
    local rank = redis.call('ZRANK', keys.order, id)
    if rank then
      storage.remove(keys, rank)
    end
  end

  layout.remove_all = storage.clear

  -- What the ledger keeps of a message that another program wrote.
  function layout.note(message)
    local named = message.id:sub(1, DIGEST)
    local name = message.item and name_of(storage, message.item) or message.name
    return name == named and '' or name
  end

  function layout.present(keys, id)
    return redis.call('ZSCORE', keys.order, id) and true or false
  end

  function layout.foreign()
    return false
  end

  function layout.same(fields, others)
    return field_of(fields, 'item') == field_of(others, 'item')
  end

  function layout.expire(keys, id, expires)
    expire(keys.header, expires)
  end

  return layout
end
