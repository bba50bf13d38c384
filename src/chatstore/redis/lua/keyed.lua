-- A layout whose messages have a key each, `{prefix}{session}:{id}`, and whose sessions have none: the framework's own
-- search index says which messages a session has. A session has its title, its metadata and its user in a hash of ours,
-- the companion; it is there while it has messages or a companion, which it gets when it is first written down.
--
-- `keyed` makes the primitives of `session.lua` of a few on keys:
--
--   prefix, index, tag        what the keys begin with; the index's name; its TAG field, which names a message's session
--   session_of(key)           the session that the message names; nil where there is no such message
--   times(names)              the texts of the timestamps (seconds) at some keys; '' where a message has none, false where there
--                             is no message
--   read(key, kept)           {fields} and the timestamp's text, or nil where there is nothing, or nil and a problem
--   write(key, fields)        writes a whole message
--   set_time(key, time)       gives it another timestamp
--   kept(key, fields)         what `read` needs to give back these fields where the server gives others; '' where it does not
--   change(key, fields)       writes some of its fields; absent where a message is always written as a whole
--   same(fields, others)      whether two messages have the same role and content
--
-- The index. It splits a tag at commas, trims it, takes capitals for small letters, and ends it at a NUL: so it finds
-- messages of other sessions, too, which are told by their keys. A message whose fields have types that the index does not
-- expect (content made of parts, say) is not in it at all. What the ledger knows is therefore looked up by its key where the
-- index does not know it, and what nobody knows a walk over the keys finds (`session_found.lua`).
--
-- The order is by timestamp, then by id. What we write has a timestamp behind that of the message before it, so that the
-- framework's order is the ledger's.
--
-- What is cheap to ask stands for the listing of a long session: how many messages the index counts, and which are not
-- older than the newest that the ledger knows. So one that comes in with an older time while another goes is not noticed
-- there before the next one comes or goes.

-- More than that a cursor gives, as there may be a limit to what a search does.
local AT_ONCE = 1000
local PAGE = 10000
local LONGEST_TAG = 4096
-- The listing of so many messages is compared as a whole.
local EXACT = 200

-- Returns a time in seconds as text in microseconds, cut off behind them, or nil when it says no time that could not be
-- another. Other programs also wrote milliseconds and microseconds.
local function micros_of_seconds(value)
  local whole, fraction = (value or ''):match('^(%d+)%.?(%d*)$')
  local number = tonumber(whole)
  if not number then
    return micros_of_iso(value or '')
  elseif number < 253402300800 then
    return text(number * 1000000 + tonumber((fraction .. '000000'):sub(1, 6)))
  end
  return micros_of_millis(value)
end

local function tags_of(session_id)
  local tags = {}
  for part in session_id:match('^%Z*'):gmatch('[^,]+') do
    local tag = part:match('^%s*(.-)%s*$'):sub(1, LONGEST_TAG)
    if tag ~= '' then
      tags[#tags + 1] = tag
    end
  end
  return tags
end

local function call_index(command)
  local found = redis.pcall(unpack(command))
  if not found.err then
    return found
  end
  local said = found.err:lower()
  if said:find('no such index', 1, true) or said:find('unknown', 1, true) or said:find('unsupported', 1, true) then
    error({ err = 'NOINDEX ' .. found.err })
  end
  error({ err = found.err })
end

local function keyed(storage)
  local layout = { lost_digits = 0 }
  -- Messages of this session that the index does not know; what all of its messages are, once that was asked.
  local also, listed = {}, nil

  local function message_key(keys, id)
    return storage.prefix .. keys.session_id .. ':' .. id
  end

  -- Asks the index for the session's messages: `what` is how. Returns nil where the index has no name for the session.
  local function ask(command, keys, what, conditions, more)
    local tags = tags_of(keys.session_id)
    if #tags == 0 then
      return nil
    end
    local query, params = { conditions }, {}
    for i, tag in ipairs(tags) do
      query[#query + 1] = '@' .. storage.tag .. ':{$t' .. i .. '}'
      params[#params + 1] = 't' .. i
      params[#params + 1] = tag
    end
    for _, value in ipairs(more or {}) do
      params[#params + 1] = value
    end
    local words = { command, storage.index, table.concat(query, ' ') }
    for _, word in ipairs(what) do
      words[#words + 1] = word
    end
    words[#words + 1] = 'PARAMS'
    words[#words + 1] = #params
    for _, value in ipairs(params) do
      words[#words + 1] = value
    end
    words[#words + 1] = 'DIALECT'
    words[#words + 1] = 2
    return call_index(words)
  end

  local function search(keys, limit, conditions, more)
    local what = { 'NOCONTENT', 'LIMIT', 0, limit, 'TIMEOUT', 0 }
    return ask('FT.SEARCH', keys, what, conditions, more) or { 0 }
  end

  -- The ids of the messages that the index has for the session.
  local function indexed_ids(keys)
    local head, ids = message_key(keys, ''), {}
    local function take_key(key)
      if #key > #head and key:sub(1, #head) == head then
        ids[#ids + 1] = key:sub(#head + 1)
      end
    end
    local found = search(keys, AT_ONCE)
    if found[1] <= AT_ONCE then
      for i = 2, #found do
        take_key(found[i])
      end
      return ids
    end
    local what = { 'LOAD', 1, '@__key', 'WITHCURSOR', 'COUNT', PAGE, 'TIMEOUT', 0 }
    local page = ask('FT.AGGREGATE', keys, what)
    while true do
      for i = 2, #page[1] do
        take_key(page[1][i][2])
      end
      if page[2] == 0 then
        return ids
      end
      page = call_index({ 'FT.CURSOR', 'READ', storage.index, page[2], 'COUNT', PAGE })
    end
  end

  -- Returns messages that are there, in order: {id, time, number}.
  local function in_order(keys, ids)
    local messages = {}
    for first = 1, #ids, 1000 do
      local names = {}
      for i = first, math.min(first + 999, #ids) do
        names[#names + 1] = message_key(keys, ids[i])
      end
      for i, time in ipairs(storage.times(names)) do
        if time then
          local number = tonumber(time)
          if not number or number ~= number then
            number = math.huge
          end
          messages[#messages + 1] = { id = ids[first + i - 1], time = time, number = number }
        end
      end
    end
    table.sort(messages, function(a, b)
      if a.number ~= b.number then
        return a.number < b.number
      end
      return bytes_before(a.id, b.id)
    end)
    return messages
  end

  local function all_messages(keys)
    local ids, seen = indexed_ids(keys), {}
    for _, id in ipairs(ids) do
      seen[id] = true
    end
    local function add(id)
      if not seen[id] and storage.session_of(message_key(keys, id)) == keys.session_id then
        ids[#ids + 1] = id
      end
      seen[id] = true
    end
    for _, id in ipairs(redis.call('ZRANGE', keys.order, 0, -1)) do
      add(id)
    end
    for _, id in ipairs(also) do
      add(id)
    end
    return in_order(keys, ids)
  end

  local function signature(keys)
    local found = search(keys, EXACT)
    local count = table.remove(found, 1)
    if count > EXACT then
      local newest = redis.call('ZRANGE', keys.order, -1, -1)[1]
      local time = newest and tonumber(storage.times({ message_key(keys, newest) })[1] or '')
      found = {}
      if time and math.abs(time) < math.huge then
        local bound = { 'from', string.format('%.17g', time) }
        found = search(keys, EXACT, '@timestamp:[$from inf]', bound)
        table.remove(found, 1)
      end
    end
    table.sort(found)
    return count .. '\n' .. table.concat(found, '\n')
  end

  -- Notes ids of this session's whose keys were met. Returns whether one of them was unknown until now.
  function layout.found(keys, ids)
    if #ids == 0 then
      return false
    end
    local what = { 'INKEYS', #ids }
    for _, id in ipairs(ids) do
      what[#what + 1] = message_key(keys, id)
    end
    for _, word in ipairs({ 'NOCONTENT', 'LIMIT', 0, #ids, 'TIMEOUT', 0 }) do
      what[#what + 1] = word
    end
    local indexed = {}
    for _, key in ipairs(ask('FT.SEARCH', keys, what) or {}) do
      indexed[key] = true
    end
    for _, id in ipairs(ids) do
      if
        not indexed[message_key(keys, id)]
        and not redis.call('ZSCORE', keys.order, id)
        and redis.call('HEXISTS', keys.tombstones, id) == 0
      then
        also[#also + 1] = id
      end
    end
    return #also > 0
  end

  -- Whether the companion says nothing but whose the session is. Then its expiry is no more than that of the messages.
  local function lapses(keys)
    return redis.call('HLEN', keys.companion) == 1
  end

  function layout.header(keys, state)
    local fields = redis.call('HGETALL', keys.companion)
    local listing = signature(keys) .. (#also > 0 and '\n+' .. table.concat(also, '\n+') or '')
    local changed = redis.sha1hex(listing) ~= state.listing
    -- The index still counts a message that has only just expired.
    listed = (changed or #fields == 0) and all_messages(keys) or nil
    local first, newest = listed and listed[1], listed and listed[#listed]
    if #fields == 0 and not first then
      return nil
    end
    local owner = keys.owner ~= '' and keys.owner or field_of(fields, 'user')
    if not owner then
      return nil, problem(keys.header, NOBODYS, table.concat(listed and layout.ids() or fields, '\n'))
    end
    local header = { owner = owner, fields = fields, listing = listing }
    header.expires = #fields > 0 and not lapses(keys) and expiry_of(keys.companion) or ''
    if state.version == 0 then
      header.created = first and micros_of_seconds(first.time)
      header.updated = newest and micros_of_seconds(newest.time)
    elseif newest then
      local known = redis.call('ZSCORE', keys.order, newest.id) or redis.call('HEXISTS', keys.tombstones, newest.id) == 1
      local updated = not known and micros_of_seconds(newest.time)
      header.updated = updated and tonumber(updated) > tonumber(state.updated) and updated or nil
    end
    return header
  end

  function layout.ids()
    local ids = {}
    for i, message in ipairs(listed) do
      ids[i] = message.id
    end
    return ids
  end

  function layout.save(keys, fields)
    rewrite_hash(keys.companion, fields)
  end

  function layout.change(keys, fields)
    if lapses(keys) then
      redis.call('PERSIST', keys.companion)
    end
    call_in_pieces('HSET', keys.companion, fields)
  end

  function layout.touch(keys)
    if keys.owner ~= '' then
      redis.call('HSETNX', keys.companion, 'user', keys.owner)
    end
  end

  -- Every script that wrote messages, or wrote them down, asks for this: whatever becomes of them, the session stays. Where
  -- we only know its user, it stays for as long as its newest message.
  function layout.listing(keys)
    layout.touch(keys)
    if lapses(keys) then
      local newest = redis.call('ZRANGE', keys.order, -1, -1)[1]
      expire(keys.companion, newest and expiry_of(message_key(keys, newest)) or '')
    end
    return signature(keys)
  end

  function layout.drop(keys)
    redis.call('DEL', keys.companion)
  end

  function layout.expire_session(keys, expires)
    expire(keys.companion, expires)
  end

  layout.append = layout.listing
  layout.relist = layout.listing

  -- Returns a time between two others, either of which may be nil, and not them; nil where there is none.
  local function time_between(low, high)
    local step = low and high and math.min(0.000001, (high - low) / 2) or 0.000001
    local time = low and low + step or high - step
    for _, form in ipairs({ '%.6f', '%.7f', '%.17g' }) do
      local written = string.format(form, time)
      local number = tonumber(written)
      if (not low or number > low) and (not high or number < high) then
        return written
      end
    end
    return nil
  end

  -- Gives a message another timestamp where its own puts it into another place than the ledger's order does. Two that
  -- come from elsewhere may have the same one; of new ones each has its own.
  local function keep_order(keys, id, rank, is_new)
    local ids = { false, id, redis.call('ZRANGE', keys.order, rank + 1, rank + 1)[1] or false }
    ids[1] = rank > 0 and redis.call('ZRANGE', keys.order, rank - 1, rank - 1)[1] or false
    local numbers = {}
    for i = 1, 3 do
      local time = ids[i] and storage.times({ message_key(keys, ids[i]) })[1]
      numbers[i] = time and tonumber(time) or nil
    end
    local low, own, high = numbers[1], numbers[2], numbers[3]
    local behind = not low or (own and (own > low or (own == low and not is_new and bytes_before(ids[1], id))))
    local before = not high or (own and (own < high or (own == high and not is_new and bytes_before(id, ids[3]))))
    if own and behind and before then
      return
    end
    local time = (low or high) and time_between(low, high)
    if time then
      storage.set_time(message_key(keys, id), time)
    end
  end

  -- Writes a message, and returns what the ledger keeps of it.
  local function write(keys, id, fields, rest, rank)
    local is_new = field_of(fields, '\0new')
    local written = {}
    for i = 1, #fields, 2 do
      if fields[i] ~= '\0new' then
        written[#written + 1] = fields[i]
        written[#written + 1] = fields[i + 1]
      end
    end
    local key = message_key(keys, id)
    storage.write(key, written)
    keep_order(keys, id, rank, is_new)
    return cmsgpack.pack({ rest, storage.kept(key, written) })
  end

  function layout.load(keys, message, body)
    local key = message_key(keys, message.id)
    local rest, kept = '', ''
    if body ~= '' then
      rest, kept = unpack(cmsgpack.unpack(body))
    end
    local fields, time = storage.read(key, kept)
    if not fields then
      return nil, time
    end
    local session = storage.session_of(key)
    if session ~= keys.session_id then
      local reason = 'its key says that it is of the session ' .. keys.session_id .. ', but not what it holds'
      return nil, problem(key, reason, table.concat(fields, '\n'))
    end
    local created = micros_of_seconds(time)
    if not created and body == '' then
      return nil, problem(key, 'its timestamp is no time that could not be another', table.concat(fields, '\n'))
    end
    for _, value in ipairs({ '\0session', keys.session_id, '\0id', message.id }) do
      fields[#fields + 1] = value
    end
    return fields, rest, created, key, expiry_of(key)
  end

  function layout.store(keys, id, fields, rest, was, rank)
    return write(keys, id, fields, rest, rank)
  end

  function layout.edit(keys, id, fields, body, rest)
    if storage.change then
      storage.change(message_key(keys, id), fields)
      return body
    end
    return write(keys, id, fields, rest, redis.call('ZRANK', keys.order, id))
  end

  function layout.present(keys, id)
    return redis.call('EXISTS', message_key(keys, id)) == 1
  end

  function layout.foreign(keys, id)
    return layout.present(keys, id) and storage.session_of(message_key(keys, id)) ~= keys.session_id
  end

  function layout.remove(keys, id)
    if not layout.foreign(keys, id) then
      redis.call('DEL', message_key(keys, id))
    end
  end

  layout.same = storage.same

  function layout.expire(keys, id, expires)
    expire(message_key(keys, id), expires)
  end

  function layout.expires(keys, id)
    return expiry_of(message_key(keys, id))
  end

  return layout
end
