-- A layout whose messages have no ids of their own: a sequence of items, each one text, that only grows at its newest
-- end, or is trimmed.
--
-- `sequence` makes the primitives of `session.lua` of a few on items, which are counted from 0, the oldest:
--
--   expected                        the type of the key that holds the items
--   key(keys)                       which key that is
--   length(keys)                    how many items there are
--   items(keys, first, last)        the items from one to the other; fewer where there are not so many
--   push(keys, item)                adds an item at the newest end
--   set(keys, rank, item)           replaces an item
--   insert(keys, rank, item)        adds an item before the one of that rank
--   remove(keys, rank)              removes an item
--   clear(keys)                     removes all items
--
-- and, where they are needed:
--
--   at_hand                         true: all items are in our memory anyway, so that looking at all of them costs little
--   own_id(item)                    the item's own id, or nil
--   wrong(keys)                     why the items cannot be read, and what lies there instead; or nil
--   flush(keys)                     writes what these primitives kept back
--   forget()                        makes there be nothing to write any more, since the key is gone
--
-- A session has its title, its metadata and its user in a hash of ours, the companion. Where the framework has a place for
-- some of them, `own` says how to read and write that; names that begin with `:` are then the companion's:
--
--   lost_digits                     as of a layout
--   required                        true: there is no session without it
--   read(keys)                      {owner, fields, created, updated}, nil when there is none, or nil and a problem
--   save(keys, fields)              writes all fields
--   change(keys, fields)            writes some fields
--   touch(keys, updated)            writes when the session was last written
--   drop(keys)                      removes it
--   expires(keys)                   when the session expires
--   expire(keys, expires)           lets it expire
--
-- Identity. A message that chatstore wrote has its id in the ledger. Any other is named by its own id, where it has one that
-- is nobody else's, or by a digest of its text and the position that it had when it was first written down: so two equal
-- ones are two, and neither growing nor trimming makes an old one new. Before a session is written down the position is
-- the rank.

local DIGEST = 16
-- A list of more items than this is compared by its length and its ends.
local EXACT = 200

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
  local length = storage.length(keys)
  local ends = {}
  if length > 0 then
    ends = storage.items(keys, 0, math.min(length, exact(storage)) - 1)
  end
  if length > exact(storage) then
    for _, item in ipairs(storage.items(keys, math.max(EXACT, length - EXACT), length - 1)) do
      ends[#ends + 1] = item
    end
  end
  return length .. ':' .. redis.sha1hex(table.concat(ends, '\n'))
end

-- Returns an id for an item that is not written down: no other message, alive or deleted, has it.
local function fresh_id(storage, keys, item, position, used)
  local own = own_id_of(storage, item)
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

-- Returns whether the known messages are the first ones of the sequence: all are looked at where they are few, or where
-- an edit is suspected, else the ends.
local function has_grown(storage, keys, known_count, length)
  if known_count > length then
    return false
  elseif known_count == 0 then
    return true
  end
  local function same(first, last)
    local known = known_messages(storage, keys, first, last)
    for i, item in ipairs(storage.items(keys, first, last)) do
      if mark_of(storage, item) ~= known[i].mark then
        return false
      end
    end
    return true
  end
  if known_count > exact(storage) and not storage.suspected then
    return same(0, 0) and same(known_count - 1, known_count - 1)
  end
  for first = 0, known_count - 1, 1000 do
    if not same(first, math.min(first + 999, known_count - 1)) then
      return false
    end
  end
  return true
end

-- The view of a sequence that grew at its newest end: what is new is named when it is asked for.
local function grown_view(storage, keys, known_count, length)
  local next_position = position_behind(keys)
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
  function view.slice(first, last_rank)
    local found = {}
    if last_rank < first then
      return found
    end
    local members = redis.call('ZRANGE', keys.order, first, last_rank, 'WITHSCORES')
    for i, item in ipairs(storage.items(keys, first, last_rank)) do
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

-- The view of a sequence that another program changed in any other way. What is left of the known messages keeps its id,
-- and its place where the order allows it; else, and where its text is another now, it is a newer state of it. What is
-- between or behind them is new, and has the place behind its predecessor.
local function changed_view(storage, keys, length)
  local known = known_messages(storage, keys)
  local names, marks, used = {}, {}, {}
  for first = 0, length - 1, 1000 do
    for _, item in ipairs(storage.items(keys, first, math.min(first + 999, length - 1))) do
      marks[#marks + 1] = mark_of(storage, item)
      names[#names + 1] = name_in(marks[#marks])
    end
  end
  for _, one in ipairs(known) do
    used[one.id] = true
  end
  local match, items, listed, last = aligned(known, names), {}, {}, -1
  for i, mark in ipairs(marks) do
    local one = known[match[i]]
    local message
    if not one then
      local item = storage.items(keys, i - 1, i - 1)[1]
      message = { id = fresh_id(storage, keys, item, last + 1, used), position = last + 1, mark = mark }
    elseif one.position > last and one.mark == mark then
      message = { id = one.id, position = one.position, known = true }
    else
      message = { id = one.id, position = math.max(one.position, last + 1), mark = mark, was = one.raw }
    end
    items[i] = message
    used[message.id], listed[message.id], last = true, true, message.position
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

-- Returns the fields of a header that are the framework's, and those of the companion.
local function parted(own, fields)
  if not own then
    return {}, fields
  end
  local theirs, ours = {}, {}
  for i = 1, #fields, 2 do
    local name = fields[i]:match('^:(.*)$')
    local list = name and ours or theirs
    list[#list + 1] = name or fields[i]
    list[#list + 1] = fields[i + 1]
  end
  return theirs, ours
end

local function sequence(storage, own)
  local layout = { lost_digits = own and own.lost_digits or 0, storage = storage, flush = storage.flush }

  function layout.header(keys, state)
    local key = storage.key(keys)
    local kind = redis.call('TYPE', key).ok
    if kind ~= storage.expected and kind ~= 'none' then
      return nil, wrong_type(key, storage.expected)
    end
    local held, wrong
    if own then
      held, wrong = own.read(keys)
      if wrong or (own.required and not held) then
        return nil, wrong
      end
    end
    local companion = redis.call('HGETALL', keys.companion)
    local expired = state.expires ~= '' and tonumber(state.expires) <= clock()
    local nowhere = kind == 'none' and not held
    if nowhere and (#companion == 0 or expired) then
      return nil
    end
    local header = held or { fields = {} }
    header.owner = header.owner or keys.owner ~= '' and keys.owner or field_of(companion, 'user')
    if not header.owner then
      return nil, problem(keys.header, NOBODYS)
    end
    if storage.wrong then
      local reason, raw = storage.wrong(keys)
      if reason then
        return nil, problem(keys.header, reason, raw, header.owner)
      end
    end
    for i = 1, #companion, 2 do
      header.fields[#header.fields + 1] = (own and ':' or '') .. companion[i]
      header.fields[#header.fields + 1] = companion[i + 1]
    end
    header.expires = nowhere and state.expires or own and own.expires(keys) or expiry_of(keys.header)
    return header
  end

  function layout.save(keys, fields)
    local theirs, ours = parted(own, fields)
    rewrite_hash(keys.companion, ours)
    if own then
      own.save(keys, theirs)
    end
  end

  function layout.change(keys, fields)
    local theirs, ours = parted(own, fields)
    call_in_pieces('HSET', keys.companion, ours)
    if own then
      own.change(keys, theirs)
    end
  end

  function layout.touch(keys, updated)
    if keys.owner ~= '' then
      -- A session that chatstore wrote is there without messages, too.
      redis.call('HSETNX', keys.companion, 'user', keys.owner)
    end
    if own then
      own.touch(keys, updated)
    end
  end

  function layout.drop(keys)
    storage.clear(keys)
    redis.call('DEL', keys.companion)
    if own then
      own.drop(keys)
    end
    if storage.forget then
      storage.forget()
    end
  end

  -- Looks at all items, as an edit in the middle of a long list is suspected.
  function layout.suspect()
    storage.suspected = true
  end

  function layout.view(keys, state)
    local now = signature(storage, keys)
    if redis.sha1hex(now) == state.listing and not storage.suspected then
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
    local _, rest = split_body(storage, message.id, body)
    return { 'item', item, 'id', message.id }, rest, created, key
  end

  -- Whether what the ledger knows as a message is another text now. An edit in the middle of a long list is told so only.
  function layout.edited(keys, message, raw)
    return mark_of(storage, message.item) ~= mark_in_ledger(storage, message.id, raw)
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
    return mark_of(storage, item) .. rest
  end

  function layout.edit(keys, id, fields, body, rest)
    local item = field_of(fields, 'item')
    storage.set(keys, redis.call('ZRANK', keys.order, id), item)
    return mark_of(storage, item) .. rest
  end

  function layout.remove(keys, id)
    local rank = redis.call('ZRANK', keys.order, id)
    if rank then
      storage.remove(keys, rank)
    end
  end

  layout.remove_all = storage.clear

  -- What the ledger keeps of a message that another program wrote, or of one that it edited.
  function layout.note(message)
    local mark = message.item and mark_of(storage, message.item) or message.mark
    local rest = ''
    if message.was then
      local _
      _, rest = split_body(storage, message.id, read_entry(nil, message.was).body)
    end
    return rest == '' and mark == message.id:sub(1, DIGEST) and '' or mark .. rest
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
    layout.expire_session(keys, expires)
  end

  function layout.expire_session(keys, expires)
    if own then
      own.expire(keys, expires)
    else
      expire(keys.header, expires)
    end
  end

  return layout
end
