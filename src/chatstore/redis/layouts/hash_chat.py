"""The layout `hash` of chats: `session:{id}` and `message:{id}`, hashes as web apps write them.

A session has userId, title, createdAt and updatedAt (milliseconds), messageIds (a JSON array: the order), metadata
(JSON). A message has sessionId, role, content, createdAt (milliseconds), metadata (JSON), and some an embedding (a JSON
array). The app reads and writes them beside us, so no field of ours is in them. Fields that are not named here
are `extra`, as text.
"""

from __future__ import annotations

from typing import ClassVar

from chatstore.models import JsonObject, Message, NewMessage, Session, to_micros
from chatstore.redis.layouts.fields import join_extra, json_of, object_of, required_text_of, split_extra, text_of
from chatstore.redis.layouts.hash_bare import bare_reply
from chatstore.redis.layouts.layout import (
    ChatLayout,
    Encoded,
    Fields,
    MessageValues,
    Orphans,
    Sample,
    SessionValues,
)
from chatstore.redis.scripts import Reply

_SESSION = frozenset({"userId", "title", "createdAt", "updatedAt", "messageIds", "metadata"})
_MESSAGE = frozenset({"sessionId", "role", "content", "createdAt", "metadata"})
_MESSAGES = b"message:"
_OF_OTHERS = frozenset({"content", "embedding", "messages", "role"})
"""Fields that no session has: what else has a user may be anything."""


class HashChat(ChatLayout):
    """Sessions and messages in one hash each."""

    name: ClassVar[str] = "hash"
    default_prefix: ClassVar[bytes] = b"session:"
    shared: ClassVar[bool] = True
    spread: ClassVar[bool] = True
    bare: ClassVar[str] = "bare_hash"

    def claims(self, sample: Sample) -> str | None:
        if sample.kind != "hash":
            return None
        names = sample.fields.keys()
        if sample.key.startswith(_MESSAGES) and {"sessionId", "role"} <= names:
            return "message"
        is_named = sample.key.startswith(self.default_prefix)
        listed = "messageIds" in names or (is_named and not names & _OF_OTHERS)
        return "session" if "userId" in names and listed else None

    def write_session(self, session: Session) -> Encoded:
        fields, rest = split_extra(session.extra, _SESSION)
        fields |= {
            "userId": session.user_id.encode(),
            "createdAt": b"%d" % (to_micros(session.created_at) // 1000),
            "updatedAt": b"%d" % (to_micros(session.updated_at) // 1000),
            **self.change_session(session.title, session.metadata),
        }
        return Encoded(fields, rest)

    def change_session(self, title: str | None, metadata: JsonObject | None) -> Fields:
        fields = {} if title is None else {"title": title.encode()}
        return fields if metadata is None else {**fields, "metadata": json_of(metadata)}

    def read_session(self, fields: Fields, rest: bytes) -> SessionValues:
        return SessionValues(
            title=text_of(fields, "title"),
            metadata=object_of(fields.get("metadata", b""), "metadata"),
            extra=join_extra(fields, rest, _SESSION),
        )

    def write_message(self, session_id: str, message: Message | NewMessage) -> Encoded:
        fields, rest = split_extra(message.extra, _MESSAGE)
        fields |= {
            "sessionId": session_id.encode(),
            "role": message.role.encode(),
            "createdAt": b"%d" % (to_micros(message.created_at) // 1000),
            **self.change_message(message.content, message.metadata),
        }
        return Encoded(fields, rest)

    def change_message(self, content: str | None, metadata: JsonObject | None) -> Fields:
        fields = {} if content is None else {"content": content.encode()}
        return fields if metadata is None else {**fields, "metadata": json_of(metadata)}

    def read_message(self, fields: Fields, rest: bytes) -> MessageValues:
        return MessageValues(
            role=required_text_of(fields, "role"),
            content=text_of(fields, "content"),
            metadata=object_of(fields.get("metadata", b""), "metadata"),
            extra=join_extra(fields, rest, _MESSAGE),
        )

    def bare_reply(self, session_id: bytes, told: Reply) -> Reply | None:
        return bare_reply(session_id, told)

    def message_key(self, session_id: bytes, message_id: bytes) -> bytes:  # noqa: ARG002 - ids are global here
        return _MESSAGES + message_id

    @property
    def orphans(self) -> Orphans:
        return Orphans(prefix=_MESSAGES, session_field="sessionId", listing_field="messageIds")

    lua: ClassVar[str] = r"""
local layout = { lost_digits = 3, unranked = true }

local function message_key(id)
  return 'message:' .. id
end

local function is_ours(keys, id)
  local owner = call_of_type('HGET', message_key(id), 'sessionId')
  return owner == false or owner == keys.session_id
end

function layout.header(keys)
  local fields, wrong = hash_at(keys.header)
  if wrong then
    return nil, wrong
  elseif #fields == 0 then
    return nil
  end
  local header = { fields = {}, listing = '', expires = expiry_of(keys.header) }
  for i = 1, #fields, 2 do
    if fields[i] == 'messageIds' then
      header.listing = fields[i + 1]
    else
      header.fields[#header.fields + 1] = fields[i]
      header.fields[#header.fields + 1] = fields[i + 1]
    end
  end
  local function bad(reason)
    return nil, problem(keys.header, reason, table.concat(fields, '\n'), header.owner)
  end
  local owner = field_of(fields, 'userId') or ''
  if owner == '' then
    return bad('it has no userId')
  end
  header.owner = owner
  local created, updated = field_of(fields, 'createdAt') or '', field_of(fields, 'updatedAt') or ''
  header.created = micros_of_millis(created ~= '' and created or updated)
  header.updated = micros_of_millis(updated ~= '' and updated or created)
  if not header.created or not header.updated then
    return bad('createdAt or updatedAt is no time that could not be another')
  end
  -- A write must not find out only after it is done that nobody can read the session.
  local metadata = field_of(fields, 'metadata') or ''
  if metadata ~= '' and metadata ~= '{}' and not pcall(cjson.decode, metadata) then
    return bad('metadata is no JSON that can be kept')
  end
  return header
end

local function ids_of(listing)
  if listing == '' then
    return {}
  end
  local fine, list = pcall(cjson.decode, listing)
  if not fine or type(list) ~= 'table' or not listing:match('^%s*%[') then
    return nil, 'messageIds is no JSON array'
  end
  local ids, reason = {}, nil
  for _, id in ipairs(list) do
    if type(id) == 'number' and id % 1 == 0 then
      id = text(id)
    end
    if type(id) == 'string' and id ~= '' then
      ids[#ids + 1] = id
    else
      reason = 'messageIds lists something that is no id'
    end
  end
  return ids, reason
end

local last = {}

-- A reading and its fingerprint ask for the same.
function layout.ids(listing)
  if last.listing ~= listing then
    last.listing, last.ids, last.reason = listing, ids_of(listing)
  end
  return last.ids, last.reason
end

function layout.inputs(keys, see, known)
  local fields = see.hash(keys.header)
  local listed = fields and layout.ids(field_of(fields, 'messageIds') or '')
  if not listed then
    return nil
  end
  local see_hash, seen, are_known = see.hash, {}, #known > 0
  for _, id in ipairs(listed) do
    if not see_hash(message_key(id)) then
      return nil
    end
    seen[id] = are_known or nil
  end
  for _, id in ipairs(known) do
    if not seen[id] and not see_hash(message_key(id)) then
      return nil
    end
  end
  return field_of(fields, 'userId')
end

function layout.save(keys, fields)
  rewrite_hash(keys.header, fields, { messageIds = true })
  redis.call('HSETNX', keys.header, 'messageIds', '[]')
end

function layout.change(keys, fields)
  call_in_pieces('HSET', keys.header, fields)
end

function layout.touch(keys, updated)
  redis.call('HSET', keys.header, 'updatedAt', millis_of(updated))
end

function layout.drop(keys)
  redis.call('DEL', keys.header)
end

-- Encodes one by one: cjson writes an empty table as an object.
local function encode_ids(ids)
  local encoded = {}
  for i, id in ipairs(ids) do
    encoded[i] = cjson.encode(id)
  end
  return table.concat(encoded, ',')
end

local function set_listing(keys, listing)
  redis.call('HSET', keys.header, 'messageIds', listing)
  return listing
end

-- The list is long and grows by little: its text is lengthened, not read and written anew.
function layout.append(keys, ids)
  local listing = redis.call('HGET', keys.header, 'messageIds') or ''
  local head = listing:match('^(.*)%]%s*$') or '['
  local joint = head:match('^%s*%[%s*$') and '' or ','
  return set_listing(keys, head .. joint .. encode_ids(ids) .. ']')
end

function layout.relist(keys, ids)
  return set_listing(keys, '[' .. encode_ids(ids) .. ']')
end

function layout.load(keys, message, body)
  local id = message.id
  local key = message_key(id)
  local fields, wrong = hash_at(key)
  if wrong then
    return nil, wrong
  elseif #fields == 0 then
    return nil, problem(key, 'the session ' .. keys.session_id .. ' lists it, but it is not there')
  end
  local owner = field_of(fields, 'sessionId')
  if owner and owner ~= keys.session_id then
    return nil, problem(key, 'the session ' .. keys.session_id .. ' lists it, but it is another session\'s')
  end
  return fields, body, micros_of_millis(field_of(fields, 'createdAt') or ''), key, expiry_of(key)
end

function layout.store(keys, id, fields, rest)
  rewrite_hash(message_key(id), fields)
  return rest
end

function layout.edit(keys, id, fields, body)
  call_in_pieces('HSET', message_key(id), fields)
  return body
end

function layout.remove(keys, id)
  if is_ours(keys, id) then
    redis.call('DEL', message_key(id))
  end
end

function layout.present(keys, id)
  return redis.call('EXISTS', message_key(id)) == 1
end

function layout.foreign(keys, id)
  return not is_ours(keys, id)
end

function layout.same(fields, others)
  return field_of(fields, 'role') == field_of(others, 'role')
    and field_of(fields, 'content') == field_of(others, 'content')
end

function layout.expire(keys, id, expires)
  expire(message_key(id), expires)
end

function layout.expires(keys, id)
  return expiry_of(message_key(id))
end
"""
