-- Executes one command of one user, with its mark, in this one step.
--
-- Replies {outcome, session, messages, tombstones} with the outcome `changed` or `unchanged`, where a message whose
-- fields are false was written just as it was given; or {`missing`}, {`conflict`, reason}, {`problem`, …}.

local user, op, at, mark = take(), take(), take(), take_mark()

local function missing()
  return { 'missing' }
end

local function conflict(reason, id)
  return { 'conflict', reason, id or '' }
end

local function unchanged(state, messages)
  return { 'unchanged', session_reply(state), messages or {}, {} }
end

local function changed(state, messages, tombstones)
  save(state)
  save_in_index(state)
  local buried = state.gone
  for _, tombstone in ipairs(tombstones or {}) do
    buried[#buried + 1] = tombstone
  end
  return { 'changed', session_reply(state), messages or {}, buried }
end

local function touch(state)
  state.updated = later(state.updated, at)
  layout.touch(keys, state.updated)
end

-- Writes new messages at the end. Returns them for the reply.
local function add_messages(state, messages)
  local version = give_version(state)
  local position = position_behind(keys)
  local ids, replies = {}, {}
  for i, message in ipairs(messages) do
    local place = position + i - 1
    store_message(message.id, place, version, message)
    ids[i] = message.id
    replies[i] = { message.id, text(place), text(version), message.created, message.expires, message.rest, false }
  end
  note_messages()
  expire_messages(state, ids)
  note_listing(state, layout.append(keys, ids))
  return replies
end

-- Returns the stored message when it is there already, nil when it is not, and a conflict when something else is.
local function find_same(state, message)
  if redis.call('HEXISTS', keys.tombstones, message.id) == 1 then
    return nil, conflict('deleted', message.id)
  end
  local position = redis.call('ZSCORE', keys.order, message.id)
  if not position and not layout.present(keys, message.id) then
    return nil
  end
  local place = { id = message.id, position = tonumber(position or 0) }
  local found, wrong = load_message(state, place, redis.call('HGET', keys.entries, message.id))
  if not found and not wrong then
    -- It has expired, and the new one may have its id.
    remove_message(message.id)
    if layout.view then
      relist(state)
    end
    save(state)
    return nil
  elseif not found or not layout.same(found[7], message.fields) then
    return nil, conflict('other content', message.id)
  end
  -- It lies there but is not listed (a list that two programs wrote at once): listing it again makes it whole.
  return position and found or nil
end

local commands = {}

function commands.append(state)
  local replies, new = {}, {}
  for i, message in ipairs(take_messages()) do
    local found, taken = find_same(state, message)
    if taken then
      return taken
    end
    replies[i] = found or false
    if not found then
      new[#new + 1] = message
    end
  end
  if #new == 0 then
    return unchanged(state, replies)
  end
  local added = add_messages(state, new)
  local next_added = 0
  for i, reply in ipairs(replies) do
    if not reply then
      next_added = next_added + 1
      replies[i] = added[next_added]
    end
  end
  touch(state)
  return changed(state, replies)
end

function commands.replace(state)
  local messages = take_messages()
  for _, message in ipairs(messages) do
    local entry = read_entry(0, redis.call('HGET', keys.entries, message.id))
    local used = redis.call('ZSCORE', keys.order, message.id) or layout.present(keys, message.id)
    if redis.call('HEXISTS', keys.tombstones, message.id) == 1 or (used and not has_passed(entry.expires)) then
      return conflict('used before', message.id)
    end
  end
  state.cleared = give_version(state)
  remove_all()
  relist(state)
  local replies = #messages > 0 and add_messages(state, messages) or {}
  touch(state)
  return changed(state, replies)
end

-- Some layouts hold all of a message in one text, and so an edit brings all of it, made of what the message was at a
-- version: it counts only if it still is. Replies {`stale`} when it is not.
function commands.edit(state)
  local id, of_version, rest, fields = take(), take(), take(), take_list()
  local changed_before, left = mistaken(state, { id })
  if changed_before then
    return left or { 'stale' }
  end
  local position = redis.call('ZSCORE', keys.order, id)
  if not position then
    return missing()
  end
  local raw = redis.call('HGET', keys.entries, id)
  local found, wrong = load_message(state, { id = id, position = tonumber(position) }, raw)
  if not found then
    return wrong or missing()
  elseif of_version ~= '' and found[3] ~= of_version then
    return { 'stale' }
  end
  merge_fields(found[7], fields)
  found[3] = text(give_version(state))
  if of_version ~= '' then
    found[6] = rest
  end
  local body = layout.edit(keys, id, fields, read_entry(0, raw).body, rest)
  redis.call('HSET', keys.entries, id, entry_text(found[3], found[4], found[5], body))
  if layout.view then
    relist(state)
  end
  touch(state)
  return changed(state, { found })
end

local function remove_found(state, found)
  if #found == 0 then
    return unchanged(state)
  end
  local version = give_version(state)
  local tombstones = {}
  for i, message in ipairs(found) do
    remove_message(message[1])
    bury(state, message[1], version)
    tombstones[i] = { message[1], text(version) }
  end
  relist(state)
  touch(state)
  return changed(state, found, tombstones)
end

-- Takes the last message that can be read: one that is listed but not there is no message.
function commands.pop(state)
  local rank, found = 0, nil
  repeat
    local id = redis.call('ZREVRANGE', keys.order, rank, rank)[1]
    found = id and find(state, id)
    rank = rank + 1
  until found or not id
  return remove_found(state, { found })
end

function commands.delete_messages(state)
  local found, seen, ids = {}, {}, take_list()
  local _, left = mistaken(state, ids)
  if left then
    return left
  end
  for _, id in ipairs(ids) do
    local message = not seen[id] and find(state, id)
    seen[id] = true
    if message then
      found[#found + 1] = message
    end
  end
  return remove_found(state, found)
end

function commands.clear(state)
  state.cleared = give_version(state)
  remove_all()
  relist(state)
  touch(state)
  return changed(state)
end

function commands.update(state)
  local fields = take_list()
  state.version = give_version(state)
  layout.change(keys, fields)
  merge_fields(state.header.fields, fields)
  touch(state)
  return changed(state)
end

function commands.delete(state)
  end_life(state)
  state.deleted = give_version(state)
  state.cleared = state.deleted
  return changed(state)
end

local function create(state)
  local expires, rest, fields = take(), take(), take_list()
  if keys.owner ~= '' and keys.owner ~= user then
    return conflict('mapped')
  elseif state.header then
    if state.user ~= user then
      return conflict('taken')
    end
    return unchanged(state)
  end
  if state.version > 0 then
    -- It expired, or another program removed it: a deletion that is written down only now.
    redis.call('DEL', keys.order, keys.entries, keys.tombstones)
    redis.call('HDEL', keys.state, 'expiring')
    state.deleted = give_version(state)
    state.cleared = state.deleted
  end
  state.version = give_version(state)
  state.born = state.version
  state.user, state.created, state.updated, state.expires, state.rest = user, at, at, expires, rest
  state.header = { owner = user, fields = fields }
  layout.save(keys, fields)
  relist(state)
  if expires ~= '' then
    expire_session(expires)
  end
  return changed(state)
end

local function execute()
  local state, wrong = open()
  if wrong then
    return scoped(wrong, user) or (op == 'create' and conflict('taken')) or missing()
  elseif op == 'create' then
    return create(state)
  elseif not state.header or state.user ~= user then
    return op == 'delete' and { 'unchanged', false, {}, {} } or missing()
  end
  wrong = adopt(state)
  if wrong then
    return wrong
  end
  save(state)
  return commands[op](state)
end

set_mark(keys, mark)
local answer = execute()
if answer[1] ~= 'changed' then
  unset_mark(keys, mark)
end
return answer
