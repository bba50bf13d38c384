-- One session: what the layout holds of it, and the ledger, which is ours: versions, deletions, positions, and what
-- the layout has no field for. The protocol is written here once; the table `layout` is a layout's part of it:
--
--   lost_digits                    of a time in microseconds, how many digits the layout has no room for
--   header(keys, state)            {owner, fields, created, updated, expires, listing}; nil when there is none; nil and
--                                  a problem. `created` and `updated` nil: only the ledger knows
--   save(keys, fields)             writes the whole header, but leaves the listing
--   change(keys, fields)           writes some of the header's fields
--   touch(keys, updated)           writes when the session was last written
--   drop(keys)                     removes the header
--   append(keys, ids)              lists ids at the end      } both return
--   relist(keys, ids)              lists these ids only      } the listing
--   load(keys, message, body, state)
--                                  of a message {id, position}: fields, rest, created, the key, and when it expires, if
--                                  its own key does; nil and a problem
--   store(keys, id, fields, rest, was, rank)
--                                  writes a whole message, which had one rank in the order and now has another; returns
--                                  its body. The ranks are nil where `unranked` is true: they do not matter there
--   edit(keys, id, fields, body, rest)
--                                  writes some of a message's fields, or all of them; returns its body
--   remove(keys, id)               removes a message
--   remove_all(keys)               removes all messages; where it is absent they are removed one by one
--   present(keys, id)              whether something lies where this message does, listed or not
--   foreign(keys, id)              whether it is another session's
--   same(fields, others)           whether two messages have the same role and content
--   expire(keys, id, expires)      lets a message expire with its session
--   expires(keys, id)              when a message expires by its own key; absent where messages have no keys
--
--   inputs(keys, see, known)       tells a fingerprint what the others depend on, beside the ledger: values by `see.value`,
--                                  keys with what is in them by `see.key`, when keys expire by `see.expiry`; each returns
--                                  whether there may be more. `see.hash` is `see.key` for a hash that is read by `hash_at`,
--                                  and returns its fields. `known` are the ids of the ledger's order. Returns the owner; nil
--                                  where there is no session, or no fingerprint. Absent where none can be told
--   listing(keys)                  what stands for the listing once all of it is written down, where that is another than before
--
-- Where other programs may order the messages, one of these two says how:
--
--   ids(listing)                   the ids that a header's `listing` lists, in order, and a reason when it holds what is no
--                                  id; nil and a reason when it cannot be read
--   view(keys, state)              nil when nobody but us ordered them since; else {size, slice(first, last), listing} and
--                                  `lists(id)`; or `removed`, the ids that are gone, and the ranks between which a
--                                  message may be new, `from` and `to`, which may be written down `in_parts`; `more` when
--                                  there is more that is gone; `vanished` when all is, and yet may come back
--
-- and then, where what `slice` gives holds more than id and position:
--
--   fill(keys, messages, first)    adds that to messages of the ledger's order, from a rank on
--   note(message)                  the body for the ledger's entry of a message of such a view
--   edited(keys, message, raw)     whether it is not what the ledger's entry of it was made for
--   suspect()                      lets `view` look at all messages, as there may be such an edit that it does not see
--
-- In such a view a message that was there, but in another place or with another text, has `was`: the ledger's entry of it.
--
-- Where it is not enough that the key of the header expires, and where primitives keep back what they write:
--
--   expire_session(keys, expires)  lets the session expire
--   flush(keys)                    writes what was kept back
--
-- `rest` is what the layout's fields cannot carry; a `body` is what the ledger keeps of a message for the layout.

local NAMES = {
  'user', 'version', 'born', 'deleted', 'cleared', 'last', 'created', 'updated', 'expires', 'listing', 'rest',
}
local NUMBERS = { version = true, born = true, deleted = true, cleared = true, last = true }

-- Returns what is known of the session, or nil and a problem. `bare` is of a reading that knows that there is no ledger.
local function open(bare)
  local values = bare and {} or redis.call('HMGET', keys.state, unpack(NAMES))
  local state = { gone = {}, bare = bare }
  for i, name in ipairs(NAMES) do
    state[name] = NUMBERS[name] and (tonumber(values[i]) or 0) or values[i] or ''
  end
  local header, wrong = layout.header(keys, state)
  if wrong then
    return nil, wrong
  end
  state.header = header
  if not header then
    return state
  end
  state.user = header.owner
  local expires = precise(state.expires, header.expires, 3)
  if state.version > 0 and expires ~= state.expires then
    -- Frameworks set a TTL anew at each write of theirs, and that must reach the other side.
    state.version = even(state.version + 1)
  end
  state.expires = expires
  -- What never was written down is as old as the layout says, or as can be.
  local unknown = state.version == 0 and (header.created or '0') or nil
  local held_updated = header.updated or unknown
  if header.created or unknown then
    state.created = precise(state.created, header.created or unknown, layout.lost_digits)
  end
  if held_updated then
    local updated = precise(state.updated, held_updated, layout.lost_digits)
    if state.version == 0 then
      state.version = even(math.max(foreign_version(updated), state.deleted + 1))
      -- The first life has no creation that we know of; another program began this one after a deletion of ours.
      state.born = state.deleted > 0 and state.version or 0
    elseif updated ~= state.updated then
      state.version = even(math.max(foreign_version(updated), state.version + 1))
    end
    state.updated = updated
  end
  state.last = math.max(state.last, state.version, state.deleted, state.cleared)
  return state
end

-- Behind all that it writes of the layout's, so that the server tells of the ledger last: see docs/decisions/0010.
local function save(state)
  if layout.flush then
    layout.flush(keys)
  end
  local fields = {}
  for _, name in ipairs(NAMES) do
    fields[#fields + 1] = name
    fields[#fields + 1] = NUMBERS[name] and text(state[name]) or state[name]
  end
  redis.call('HSET', keys.state, unpack(fields))
end

local function give_version(state)
  state.last = next_version(state.last)
  return state.last
end

local function precedes(a, b)
  if a.position ~= b.position then
    return a.position < b.position
  end
  return bytes_before(a.id, b.id)
end

-- Returns the position of a message that the ledger does not know: behind the one before it, and before the next one that
-- the ledger knows, where the positions or the ids leave room for it.
local function position_between(before, id, after)
  local behind = before.position + 1
  if not after or after.position < before.position or behind < after.position then
    return behind
  elseif before.id and bytes_before(before.id, id) and precedes({ position = before.position, id = id }, after) then
    return before.position
  end
  return after.position
end

-- A view of all messages that a list has, see `layout.view`; what `slice` gives is not to be changed.
local function view_of(items, seen, listing)
  local view = { size = #items, listing = listing }
  function view.slice(first, last)
    if first == 0 and last >= #items - 1 then
      return items
    end
    local found = {}
    for i = first, math.min(last, #items - 1) do
      found[#found + 1] = items[i + 1]
    end
    return found
  end
  function view.lists(id)
    return seen[id]
  end
  return view
end

-- Where another program changed the list of ids since our last write: a view of its messages, ordered. One that we
-- never saw has the place behind its predecessor, so a session that we never wrote has 0, 1, 2, …
local function listed_view(state)
  local listing = state.header.listing
  if not listing or (state.listing ~= '' and redis.sha1hex(listing) == state.listing) then
    return nil
  end
  local ids, reason = layout.ids(listing)
  if not ids then
    return nil, reason
  end
  local seen, items = {}, {}
  if state.bare then
    for _, id in ipairs(ids) do
      if not seen[id] then
        items[#items + 1], seen[id] = { id = id, position = #items }, true
      end
    end
    return view_of(items, seen, listing), reason
  end
  local ordered = redis.call('EXISTS', keys.order) == 1
  local buried = redis.call('EXISTS', keys.tombstones) == 1
  for _, id in ipairs(ids) do
    local known = ordered and redis.call('ZSCORE', keys.order, id)
    local deleted = not known and buried and redis.call('HEXISTS', keys.tombstones, id) == 1
    if not seen[id] and not deleted then
      items[#items + 1] = { id = id, position = known and tonumber(known) or nil, known = known and true }
    end
    seen[id] = true
  end
  local before, next_known, in_order = { position = -1 }, 1, true
  for i, item in ipairs(items) do
    while items[next_known] and (next_known <= i or not items[next_known].known) do
      next_known = next_known + 1
    end
    item.position = item.position or position_between(before, item.id, items[next_known])
    in_order = in_order and (before.position < item.position or i == 1 or precedes(before, item))
    before = item
  end
  if not in_order then
    table.sort(items, precedes)
  end
  return view_of(items, seen, listing), reason
end

-- Where another program changed the order of the messages since our last write: a view of theirs, see `layout.view`.
-- Returns nil when the ledger's order is right; and a reason when the listing is at fault.
local function foreign_view(state)
  if not state.header then
    return nil
  end
  if layout.view then
    return layout.view(keys, state)
  end
  return listed_view(state)
end

-- Writes down the order of a list that we wrote ourselves.
local function note_listing(state, listing)
  state.listing = listing and redis.sha1hex(listing) or ''
end

local function relist(state)
  note_listing(state, layout.relist(keys, redis.call('ZRANGE', keys.order, 0, -1)))
end

-- Lets messages expire with their session. Tombstones do not: a deletion that is written down must end them. Nor do the
-- names of messages that have none of their own: where a framework sets the session's TTL anew, they must outlast it.
local function expire_messages(state, ids)
  if state.expires == '' then
    return
  end
  local expiring = redis.call('HGET', keys.state, 'expiring')
  for _, id in ipairs(ids) do
    local raw = expiring and redis.call('HGET', keys.entries, id)
    local own = raw and read_entry(0, raw).expires or ''
    if own == '' or tonumber(own) > tonumber(state.expires) then
      layout.expire(keys, id, state.expires)
    end
  end
  if not layout.view then
    expire(keys.order, state.expires)
    expire(keys.entries, state.expires)
  end
end

-- What `note_messages` is to write: the order and the entries of messages that were stored.
local stored = { order = {}, entries = {} }

-- Writes messages into the ledger, all at once; to be called behind `store_message`, before anything reads them there.
local function note_messages()
  call_in_pieces('ZADD', keys.order, stored.order)
  call_in_pieces('HSET', keys.entries, stored.entries)
  stored.order, stored.entries = {}, {}
end

local function store_message(id, position, version, message)
  local was, rank
  local order, entries = stored.order, stored.entries
  if layout.unranked then
    order[#order + 1], order[#order + 2] = position, id
  else
    was = redis.call('ZRANK', keys.order, id) or nil
    redis.call('ZADD', keys.order, position, id)
    rank = redis.call('ZRANK', keys.order, id)
  end
  local body = layout.store(keys, id, message.fields, message.rest, was, rank)
  entries[#entries + 1], entries[#entries + 2] = id, entry_text(version, message.created, message.expires, body)
  if message.expires ~= '' then
    redis.call('HSET', keys.state, 'expiring', '1')
    if layout.expires then
      layout.expire(keys, id, message.expires)
    end
  end
end

local function forget(id)
  redis.call('ZREM', keys.order, id)
  redis.call('HDEL', keys.entries, id)
end

local function bury(state, id, version)
  local known = tonumber(redis.call('HGET', keys.tombstones, id) or 0)
  redis.call('HSET', keys.tombstones, id, text(math.max(version, known)))
  state.last = math.max(state.last, version)
end

local function remove_message(id)
  layout.remove(keys, id)
  forget(id)
end

local function remove_all()
  if layout.remove_all then
    layout.remove_all(keys)
  else
    for _, id in ipairs(redis.call('ZRANGE', keys.order, 0, -1)) do
      layout.remove(keys, id)
    end
  end
  redis.call('DEL', keys.order, keys.entries)
end

local function expire_session(expires)
  if layout.expire_session then
    layout.expire_session(keys, expires)
  else
    expire(keys.header, expires)
  end
end

-- Removes the session with all that belongs to this life of it, and makes the ledger hold none: its deletion is known by `deleted`.
local function end_life(state)
  remove_all()
  redis.call('DEL', keys.tombstones)
  redis.call('HDEL', keys.state, 'expiring', 'floor')
  layout.drop(keys)
  state.header = nil
  state.version, state.born, state.created, state.updated = 0, 0, '', ''
  state.expires, state.listing, state.rest = '', '', ''
end

local function save_in_index(state)
  if not keys.index then
    return
  end
  if state.header then
    redis.call('ZADD', keys.index, state.updated, keys.session_id)
  else
    redis.call('ZREM', keys.index, keys.session_id)
  end
end

local ADOPTED_AT_ONCE = 5000

-- What the ledger keeps of a message that another program wrote, or edited.
local function adopted_entry(state, message)
  if layout.note then
    local created = text(tonumber(state.created) + message.position)
    if message.was then
      local was = read_entry(state.cleared, message.was)
      return entry_text(give_version(state), was.created, was.expires, layout.note(message))
    end
    return entry_text(state.cleared, created, '', layout.note(message))
  end
  local expires = layout.expires and layout.expires(keys, message.id) or ''
  if expires ~= '' and (state.expires == '' or expires ~= coarse(state.expires, 3)) then
    redis.call('HSET', keys.state, 'expiring', '1')
    return entry_text(state.cleared, '', expires, '')
  end
  return text(state.cleared)
end

-- Between two parts the ledger's order is of no list, not of the one that was before either, should that come back.
local function unfinished(state)
  state.listing = ''
  save(state)
  return { 'adopt' }
end

-- Makes the ledger's order agree with a list that another program changed, so that positions never shift after.
-- A message that it took from the list is deleted when it is gone altogether; one that is still there may have been
-- lost from the list by two programs that wrote it at once, and stays free to come back.
--
-- A long list that grew, or was never seen, is written down in parts. Returns nil when all is done; {`adopt`} when there
-- is more to do first, and adopting it again does that; or a problem.
local function adopt(state)
  local view, reason = foreign_view(state)
  if not view then
    return reason and problem(keys.header, reason, state.header.listing)
  end
  if view.vanished then
    -- A sequence that is gone as a whole may have expired, or been evicted or flushed: that is no deletion. Should its
    -- messages come back, they stand before whatever was written since.
    redis.call('HSET', keys.state, 'floor', text(position_behind(keys)))
    redis.call('DEL', keys.order, keys.entries)
  end
  local removed = view.removed or {}
  if view.lists then
    for _, id in ipairs(redis.call('ZRANGE', keys.order, 0, -1)) do
      removed[#removed + 1] = not view.lists(id) and id or nil
    end
  end
  for _, id in ipairs(removed) do
    local raw = redis.call('HGET', keys.entries, id)
    local expired = raw and has_passed(read_entry(0, raw).expires)
    forget(id)
    if not expired and not layout.present(keys, id) then
      state.gone[#state.gone + 1] = { id, text(give_version(state)) }
      bury(state, id, state.last)
    end
  end
  if view.more then
    return unfinished(state)
  end
  local first, last = view.from or 0, view.to or view.size
  local whole = last
  if view.in_parts then
    last = math.min(last, first + ADOPTED_AT_ONCE)
  end
  for start = first, last - 1, 1000 do
    local order, entries = {}, {}
    for _, message in ipairs(view.slice(start, math.min(start + 999, last - 1))) do
      if not message.known then
        order[#order + 1] = text(message.position)
        order[#order + 1] = message.id
        entries[#entries + 1] = message.id
        entries[#entries + 1] = adopted_entry(state, message)
      end
    end
    call_in_pieces('ZADD', keys.order, order)
    call_in_pieces('HSET', keys.entries, entries)
  end
  if last < whole then
    return unfinished(state)
  end
  note_listing(state, layout.listing and layout.listing(keys) or view.listing)
  return nil
end

local function take_messages()
  local messages = {}
  for i = 1, tonumber(take()) do
    messages[i] = { id = take(), created = take(), expires = take(), rest = take(), fields = take_list() }
  end
  return messages
end

-- Returns a message {id, position} for a reply: {id, position, version, created, expires, rest, fields}; nil when it has
-- expired; nil and a problem when it cannot be read.
local function load_message(state, message, raw)
  if not raw then
    -- One for all of them: there are sessions of which the ledger knows no message.
    state.unknown = state.unknown or read_entry(state.cleared)
  end
  local entry = raw and read_entry(state.cleared, raw) or state.unknown
  if entry.expires ~= '' and has_passed(entry.expires) then
    return nil
  end
  local fields, rest, created, key, expires = layout.load(keys, message, entry.body, state)
  if not fields then
    return nil, rest
  end
  if entry.created ~= '' then
    created = entry.created
  end
  if not created then
    return nil, problem(key, 'createdAt is no time that could not be another', table.concat(fields, '\n'))
  end
  -- What expires with its session has no expiry of its own.
  local of_session = state.expires ~= '' and coarse(state.expires, 3) or ''
  expires = expires and expires ~= of_session and precise(entry.expires, expires, 3) or entry.expires
  entry.told = entry.told or text(entry.version)
  return { message.id, message.position, entry.told, created, expires, rest, fields }
end

local function find(state, id)
  local position = redis.call('ZSCORE', keys.order, id)
  if not position then
    return nil
  end
  local place = { id = id, position = tonumber(position) }
  return load_message(state, place, redis.call('HGET', keys.entries, id))
end

-- Whether one of some messages is not what the ledger takes it for: another program changed the middle of a long list,
-- which no look at its ends tells. Then all of it is written down anew, so that none is taken for its neighbour; what is
-- left to do, or wrong, is returned, too.
local function mistaken(state, ids)
  for _, id in ipairs(layout.edited and ids or {}) do
    local message = find(state, id)
    local item = message and field_of(message[7], 'item')
    if item and layout.edited(keys, { id = id, item = item }, redis.call('HGET', keys.entries, id)) then
      layout.suspect()
      local left = adopt(state)
      save(state)
      return true, left
    end
  end
  return false
end

-- The session for a reply: its ledger's part, then its fields, or false when there is no session.
local function session_reply(state)
  local fields = state.header and state.header.fields or false
  local part = {}
  for i, name in ipairs({ 'user', 'version', 'born', 'deleted', 'cleared', 'created', 'updated', 'expires', 'rest' }) do
    part[i] = NUMBERS[name] and text(state[name]) or state[name]
  end
  part[#part + 1] = fields
  return part
end
