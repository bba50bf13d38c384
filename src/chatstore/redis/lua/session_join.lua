-- Joins a change from the other side into this one (`ChatChange` defines how). Replies {`joined`}, or {`conflict`, …},
-- or {`problem`, …}.

local function take_session()
  if take() == '0' then
    return nil
  end
  return {
    version = tonumber(take()),
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

local function join_session(state)
  local held = state.header and state.version or nil
  state.deleted = math.max(state.deleted, deleted)
  state.last = math.max(state.last, state.deleted, incoming and incoming.version or 0)
  local wins = incoming and incoming.version > (held or 0)
  local newest = wins and incoming.version or held or 0
  local expired = wins and incoming.expires ~= '' and tonumber(incoming.expires) <= clock()
  if newest <= state.deleted or expired then
    layout.drop(keys)
    empty_header(state)
    return
  end
  if not incoming then
    return
  end
  local updated = held and later(state.updated, incoming.updated) or incoming.updated
  if wins then
    layout.save(keys, incoming.fields)
    expire(keys.header, incoming.expires)
    state.header = state.header or { fields = incoming.fields }
    state.user, state.version, state.created = user, incoming.version, incoming.created
    state.expires, state.rest = incoming.expires, incoming.rest
    state.updated = ''
  end
  if updated ~= state.updated then
    state.updated = updated
    layout.touch(keys, updated)
  end
end

-- Removes what is older than `cleared`; returns whether the list must be written anew.
local function sweep(state)
  if cleared <= state.cleared then
    return false
  end
  state.cleared = cleared
  local removed = false
  for _, id in ipairs(redis.call('ZRANGE', keys.order, 0, -1)) do
    if read_entry(state, redis.call('HGET', keys.entries, id)).version < cleared then
      remove_message(id)
      removed = true
    end
  end
  return removed
end

-- A deleted session holds no messages, and what it is handed must stay gone when it is created again.
local function clear_dead(state)
  local function drop(version)
    state.cleared = math.max(state.cleared, version + 1)
  end
  for _, id in ipairs(redis.call('ZRANGE', keys.order, 0, -1)) do
    drop(read_entry(state, redis.call('HGET', keys.entries, id)).version)
  end
  for _, place in ipairs(placed) do
    drop(place.version)
  end
  remove_all()
end

-- Returns whether the list must be written anew, and the ids that stand at its end.
local function join_messages(state)
  local last = redis.call('ZREVRANGE', keys.order, 0, 0, 'WITHSCORES')
  local tail = last[1] and { id = last[1], position = tonumber(last[2]) } or { id = '', position = -1 }
  local anew, added, stored = false, {}, {}
  for i, message in ipairs(messages) do
    local place = { id = message.id, position = placed[i].position }
    local known = redis.call('HGET', keys.entries, message.id)
    local listed = redis.call('ZSCORE', keys.order, message.id)
    local buried = redis.call('HEXISTS', keys.tombstones, message.id) == 1
    local newer = not (known and listed) or read_entry(state, known).version < placed[i].version
    if not buried and placed[i].version >= state.cleared and newer then
      store_message(message.id, text(place.position), placed[i].version, message)
      stored[#stored + 1] = message.id
      if listed or not precedes(tail, place) then
        anew = anew or not listed or tonumber(listed) ~= place.position
      else
        added[#added + 1] = message.id
        tail = place
      end
    end
  end
  expire_messages(state, stored)
  return anew, added
end

local function bury_all(state)
  local removed = false
  for _ = 1, tonumber(take()) do
    local id, version = take(), tonumber(take())
    bury(state, id, version)
    if redis.call('ZSCORE', keys.order, id) then
      remove_message(id)
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

local state, wrong = open()
if wrong then
  return wrong
elseif state.header and state.user ~= user then
  return { 'conflict', 'taken', '' }
end
local taken = taken_by_another()
if taken then
  return { 'conflict', 'other content', taken }
end
wrong = adopt(state)
if wrong then
  return wrong
end
if state.user == '' then
  state.user = user
end
for _, place in ipairs(placed) do
  state.last = math.max(state.last, place.version)
end
state.last = math.max(state.last, cleared)
join_session(state)
local anew = sweep(state)
anew = bury_all(state) or anew
if state.header then
  local moved, added = join_messages(state)
  if moved or anew then
    relist(state)
  elseif #added > 0 then
    note_listing(state, layout.append(keys, added))
  end
else
  clear_dead(state)
end
save(state)
save_in_index(state)
return { 'joined' }
