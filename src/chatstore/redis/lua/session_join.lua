-- Joins a change from the other side into this one (`ChatChange` defines how). Replies {`joined`}, or {`conflict`, …},
-- or {`problem`, …}.

local function take_session()
  if take() == '0' then
    return nil
  end
  return {
    version = tonumber(take()),
    born = tonumber(take()),
    created = take(),
    updated = take(),
    expires = take(),
    rest = take(),
    fields = take_list(),
  }
end

local user, incoming, deleted, cleared = take(), take_session(), tonumber(take()), tonumber(take())
local messages, placed = take_messages(), {}
for i = 1, #messages do
  placed[i] = { position = tonumber(take()), version = tonumber(take()) }
end

local stones = {}
for i = 1, tonumber(take()) do
  stones[i] = { id = take(), version = tonumber(take()) }
end

local function has_expired()
  return incoming.expires ~= '' and tonumber(incoming.expires) <= clock()
end

-- Joins the header of a life that no deletion reaches; returns whether the session is there afterwards.
local function join_session(state)
  local held = state.header and state.version or nil
  local wins = incoming.version > (held or 0)
  if wins and has_expired() then
    end_life(state)
    -- Known, so that the deletion is written down when the id is used again.
    state.version, state.born = incoming.version, incoming.born
    return false
  end
  local updated = held and later(state.updated, incoming.updated) or incoming.updated
  state.born = math.max(state.born, incoming.born)
  if wins then
    layout.save(keys, incoming.fields)
    expire_session(incoming.expires)
    -- The messages that are there already end with it, too.
    state.expiry_moved = incoming.expires ~= state.expires
    state.header = state.header or { fields = incoming.fields }
    state.user, state.version, state.created = user, incoming.version, incoming.created
    state.expires, state.rest = incoming.expires, incoming.rest
    state.updated = ''
  end
  if updated ~= state.updated then
    state.updated = updated
    layout.touch(keys, updated)
  end
  return true
end

-- Removes what is older than `cleared`; returns whether the list must be written anew.
local function sweep(state)
  if cleared <= state.cleared then
    return false
  end
  state.cleared = cleared
  local entries, raw_of_id = redis.call('HGETALL', keys.entries), {}
  for i = 1, #entries, 2 do
    raw_of_id[entries[i]] = entries[i + 1]
  end
  local ids, older = redis.call('ZRANGE', keys.order, 0, -1), {}
  for _, id in ipairs(ids) do
    if read_entry(cleared, raw_of_id[id]).version < cleared then
      older[#older + 1] = id
    end
  end
  if #older > 0 and #older == #ids then
    -- One by one, a long session would hold up the server.
    remove_all()
  else
    for _, id in ipairs(older) do
      remove_message(id)
    end
  end
  return #older > 0
end

-- Returns whether the list must be written anew, and the ids that stand at its end.
local function join_messages(state)
  local last = redis.call('ZREVRANGE', keys.order, 0, 0, 'WITHSCORES')
  local tail = last[1] and { id = last[1], position = tonumber(last[2]) } or { id = '', position = -1 }
  local anew, added, ids, seen = false, {}, {}, {}
  -- Of a session that is new here nothing need be asked for each message.
  local has_entries, has_stones = redis.call('HLEN', keys.entries) > 0, redis.call('HLEN', keys.tombstones) > 0
  for i, message in ipairs(messages) do
    if seen[message.id] then
      note_messages()
      has_entries = true
    end
    seen[message.id] = true
    local place = { id = message.id, position = placed[i].position }
    local known = has_entries and redis.call('HGET', keys.entries, message.id)
    local listed = (has_entries or last[1]) and redis.call('ZSCORE', keys.order, message.id)
    local buried = has_stones and redis.call('HEXISTS', keys.tombstones, message.id) == 1
    local held = known and listed and layout.present(keys, message.id)
    local newer = not held or read_entry(state.cleared, known).version < placed[i].version
    local passed = has_passed(message.expires)
    if passed and listed and newer then
      remove_message(message.id)
      anew = true
    elseif not buried and not passed and placed[i].version >= state.cleared and newer then
      store_message(message.id, text(place.position), placed[i].version, message)
      ids[#ids + 1] = message.id
      if listed or not precedes(tail, place) then
        -- Of a sequence the texts are the listing, so that one which stays in its place is another listing, too.
        anew = anew or layout.view ~= nil or not listed or tonumber(listed) ~= place.position
      else
        added[#added + 1] = message.id
        tail = place
      end
    end
  end
  note_messages()
  expire_messages(state, state.expiry_moved and redis.call('ZRANGE', keys.order, 0, -1) or ids)
  return anew, added
end

local function bury_all(state)
  local removed = false
  for _, stone in ipairs(stones) do
    bury(state, stone.id, stone.version)
    if redis.call('ZSCORE', keys.order, stone.id) then
      remove_message(stone.id)
      removed = true
    end
  end
  return removed
end

-- Returns the id of a message that cannot lie here, because another session's lies in its place.
local function taken_by_another()
  for _, message in ipairs(messages) do
    if layout.foreign(keys, message.id) then
      return message.id
    end
  end
  return nil
end

-- The ids of the messages that may be replaced or removed.
local function ids_given()
  local ids = {}
  for _, given in ipairs({ messages, stones }) do
    for _, one in ipairs(given) do
      ids[#ids + 1] = one.id
    end
  end
  return ids
end

local state, wrong = open()
if wrong then
  return wrong
end
local arrives = incoming
  and incoming.born >= math.max(state.deleted, deleted)
  and (incoming.born >= state.born or not has_expired())
-- What would replace or delete another user's session must not.
if state.header and state.user ~= user and (arrives or state.born < deleted) then
  return { 'conflict', 'taken', '' }
elseif arrives and keys.owner ~= '' and keys.owner ~= user then
  return { 'conflict', 'mapped', '' }
end
deleted = math.max(state.deleted, deleted)
local taken = arrives and taken_by_another()
if taken then
  return { 'conflict', 'other content', taken }
end
if layout.suspect and cleared > state.cleared then
  layout.suspect()
end
wrong = adopt(state)
if not wrong then
  local _
  _, wrong = mistaken(state, ids_given())
end
if wrong then
  return wrong
end
if state.user == '' then
  state.user = user
end
state.deleted = deleted
for _, place in ipairs(placed) do
  state.last = math.max(state.last, place.version)
end
state.last = math.max(state.last, deleted, cleared, incoming and incoming.version or 0)
-- A life that expired, or whose header another program removed, ends when it meets one that was born later.
local vanished = not state.header and arrives and state.born < incoming.born
if state.born < deleted or vanished then
  end_life(state)
end
local anew = sweep(state)
-- Where another program removed the header, the list of what the ledger still knows went with it.
anew = anew or not state.header
if layout.view and not state.header then
  redis.call('DEL', keys.order, keys.entries)
end
local added = {}
if arrives and join_session(state) then
  anew = bury_all(state) or anew
  local moved
  moved, added = join_messages(state)
  anew = anew or moved
end
if state.header and anew then
  relist(state)
elseif #added > 0 then
  note_listing(state, layout.append(keys, added))
end
save(state)
save_in_index(state)
return { 'joined' }
