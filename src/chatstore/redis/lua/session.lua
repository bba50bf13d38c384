-- One session: what the layout holds of it, and the ledger, which is ours: versions, deletions, positions, and what
-- the layout has no field for. The protocol is written here once; the table `layout` is a layout's part of it:
--
--   lost_digits                    of a time in microseconds, how many digits the layout has no room for
--   header(keys)                   {owner, fields, created, updated, expires, listing}; nil when there is none; nil and
--                                  a problem. `created` and `updated` nil: only the ledger knows. `listing` nil: nobody
--                                  but us orders the messages; else it changes whenever somebody did
--   ids(listing)                   the ids that it lists, in order, and a reason when it holds what is no id;
--                                  nil and a reason when it cannot be read
--   save(keys, fields)             writes the whole header, but leaves the listing
--   change(keys, fields)           writes some of the header's fields
--   touch(keys, updated)           writes when the session was last written
--   drop(keys)                     removes the header
--   append(keys, ids)              lists ids at the end      } both return
--   relist(keys, ids)              lists these ids only      } the listing
--   load(keys, id, body)           fields, rest, created, the key; nil and a problem
--   store(keys, id, fields, rest)  writes a whole message; returns its body
--   edit(keys, id, fields, body)   writes some of a message's fields; returns its body
--   remove(keys, id)               removes a message
--   present(keys, id)              whether something lies where this message does, listed or not
--   foreign(keys, id)              whether it is another session's
--   same(fields, others)           whether two messages have the same role and content
--   expire(keys, id, expires)      lets a message expire with its session
--
-- `rest` is what the layout's fields cannot carry; a `body` is what the ledger keeps of a message for the layout.

-- On a cluster the keys of the ledger lie in one slot (`{id}` is their tag); the layout's, the index's and the
-- journal's may lie in others.
local keys = {
  header = KEYS[1],
  state = KEYS[2],
  order = KEYS[3],
  entries = KEYS[4],
  tombstones = KEYS[5],
  index = KEYS[6],
  marks = KEYS[7],
  bodies = KEYS[8],
  user_marks = KEYS[9],
  migration = KEYS[10],
  session_id = take(),
}

local NAMES = {
  'user', 'version', 'born', 'deleted', 'cleared', 'last', 'created', 'updated', 'expires', 'listing', 'rest',
}
local NUMBERS = { version = true, born = true, deleted = true, cleared = true, last = true }

-- Returns what is known of the session, or nil and a problem.
local function open()
  local values = redis.call('HMGET', keys.state, unpack(NAMES))
  local state = { gone = {} }
  for i, name in ipairs(NAMES) do
    state[name] = NUMBERS[name] and (tonumber(values[i]) or 0) or values[i] or ''
  end
  local header, wrong = layout.header(keys)
  if wrong then
    return nil, wrong
  end
  state.header = header
  if not header then
    return state
  end
  state.user = header.owner
  state.expires = precise(state.expires, header.expires, 3)
  if header.updated then
    state.created = precise(state.created, header.created, layout.lost_digits)
    local updated = precise(state.updated, header.updated, layout.lost_digits)
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

local function save(state)
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

-- Where another program changed the layout's list since our last write: its messages, ordered. One that we never saw
-- has the place behind its predecessor, so a session that we never wrote has 0, 1, 2, …
-- Returns nil when the ledger's order is right; and a reason when the listing is at fault.
local function foreign_order(state)
  local listing = state.header and state.header.listing
  if not listing or redis.sha1hex(listing) == state.listing then
    return nil
  end
  local ids, reason = layout.ids(listing)
  if not ids then
    return nil, reason
  end
  local ordered = redis.call('EXISTS', keys.order) == 1
  local buried = redis.call('EXISTS', keys.tombstones) == 1
  local seen, items, position = {}, {}, -1
  for _, id in ipairs(ids) do
    local known = ordered and redis.call('ZSCORE', keys.order, id)
    local deleted = not known and buried and redis.call('HEXISTS', keys.tombstones, id) == 1
    if not seen[id] and not deleted then
      position = known and tonumber(known) or position + 1
      items[#items + 1] = { id = id, position = position, known = known and true }
    end
    seen[id] = true
  end
  table.sort(items, precedes)
  return items, reason, seen
end

-- Writes down the order of a list that we wrote ourselves.
local function note_listing(state, listing)
  state.listing = listing and redis.sha1hex(listing) or ''
end

local function relist(state)
  note_listing(state, layout.relist(keys, redis.call('ZRANGE', keys.order, 0, -1)))
end

-- Lets messages expire with their session. Tombstones do not: a deletion that is written down must end them.
local function expire_messages(state, ids)
  if state.expires == '' then
    return
  end
  for _, id in ipairs(ids) do
    layout.expire(keys, id, state.expires)
  end
  expire(keys.order, state.expires)
  expire(keys.entries, state.expires)
end

local function store_message(id, position, version, message)
  local body = layout.store(keys, id, message.fields, message.rest)
  redis.call('HSET', keys.entries, id, text(version) .. ' ' .. message.created .. ' ' .. body)
  redis.call('ZADD', keys.order, position, id)
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
  for _, id in ipairs(redis.call('ZRANGE', keys.order, 0, -1)) do
    layout.remove(keys, id)
  end
  redis.call('DEL', keys.order, keys.entries)
end

-- Removes the session with all that belongs to this life of it, and makes the ledger hold none: its deletion is known by `deleted`.
local function end_life(state)
  remove_all()
  redis.call('DEL', keys.tombstones)
  layout.drop(keys)
  state.header = nil
  state.version, state.born, state.created, state.updated = 0, 0, '', ''
  state.expires, state.listing, state.rest = '', '', ''
end

local function save_in_index(state)
  if state.header then
    redis.call('ZADD', keys.index, state.updated, keys.session_id)
  else
    redis.call('ZREM', keys.index, keys.session_id)
  end
end

-- Makes the ledger's order agree with a list that another program changed, so that positions never shift after.
-- A message that it took from the list is deleted when it is gone altogether; one that is still there may have been
-- lost from the list by two programs that wrote it at once, and stays free to come back.
local function adopt(state)
  local items, reason, listed = foreign_order(state)
  if not items then
    return reason and problem(keys.header, reason, state.header.listing)
  end
  for _, id in ipairs(redis.call('ZRANGE', keys.order, 0, -1)) do
    if not listed[id] then
      forget(id)
      if not layout.present(keys, id) then
        state.gone[#state.gone + 1] = { id, text(give_version(state)) }
        bury(state, id, state.last)
      end
    end
  end
  local order, entries = {}, {}
  for _, item in ipairs(items) do
    if not item.known then
      order[#order + 1] = text(item.position)
      order[#order + 1] = item.id
      entries[#entries + 1] = item.id
      entries[#entries + 1] = text(state.cleared)
    end
  end
  call_in_pieces('ZADD', keys.order, order)
  call_in_pieces('HSET', keys.entries, entries)
  note_listing(state, state.header.listing)
  return nil
end

-- An entry is "version created body"; of a message that only another program wrote, just "version".
local function read_entry(state, raw)
  if not raw then
    return { version = state.cleared, created = '', body = '' }
  end
  local version, created, body = raw:match('^(%d+) ?(%-?%d*) ?(.*)$')
  return { version = tonumber(version), created = created, body = body }
end

local function take_messages()
  local messages = {}
  for i = 1, tonumber(take()) do
    messages[i] = { id = take(), created = take(), rest = take(), fields = take_list() }
  end
  return messages
end

-- Returns a message for a reply: {id, position, version, created, rest, fields}; or nil and a problem.
local function load_message(id, position, entry)
  local fields, rest, created, key = layout.load(keys, id, entry.body)
  if not fields then
    return nil, rest
  end
  if entry.created ~= '' then
    created = entry.created
  end
  if not created then
    return nil, problem(key, 'createdAt is no time that could not be another', table.concat(fields, '\n'))
  end
  return { id, text(position), text(entry.version), created, rest, fields }
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
