"""What the frameworks are given to write: every kind of message that they know, in their own shape.

Tool calls and their results, multimodal parts, usage, names, roles of the app's own, fields of the app's own, empty content,
text that is not ASCII, and text that looks like JSON.
"""

from __future__ import annotations

from typing import Any

_PICTURE = "data:image/png;base64,iVBORw0KGgo="
_LETTERS = 'Grüße, 茶 и 🍵👩🏽‍🍳 « "quoted" \\ back\nnew\tline \u2028 </script> é'

# LangChain, in Python and in JavaScript: what `message_to_dict` and `toDict` give.
LANGCHAIN: list[dict[str, Any]] = [
    {"type": "system", "data": {"content": "You know about tea.", "id": "sys-1"}},
    {"type": "human", "data": {"content": f"How is green tea made? {_LETTERS}", "name": "ada"}},
    {
        "type": "ai",
        "data": {
            "content": "",
            "id": "run-1",
            "additional_kwargs": {"refusal": None},
            "response_metadata": {"model_name": "some-model", "finish_reason": "tool_calls"},
            "tool_calls": [
                {
                    "name": "lookup",
                    "args": {"what": "green tea", "deep": {"a": [1, 2.5, None]}},
                    "id": "call_1",
                    "type": "tool_call",
                }
            ],
            "invalid_tool_calls": [],
            "usage_metadata": {"input_tokens": 12, "output_tokens": 7, "total_tokens": 19},
        },
    },
    {
        "type": "tool",
        "data": {
            "content": '{"steps": ["steam", "roll", "dry"]}',
            "tool_call_id": "call_1",
            "name": "lookup",
            "status": "success",
            "artifact": {"rows": [1, 2]},
        },
    },
    {"type": "tool", "data": {"content": "no such tool", "tool_call_id": "call_2", "status": "error"}},
    {
        "type": "ai",
        "data": {
            "content": [
                {"type": "text", "text": "Steamed, rolled, dried."},
                {"type": "reasoning", "reasoning": "steps"},
            ]
        },
    },
    {
        "type": "human",
        "data": {
            "content": [{"type": "text", "text": "And this?"}, {"type": "image_url", "image_url": {"url": _PICTURE}}],
            "additional_kwargs": {"client": {"device": "📱", "rating": 4.0}},
        },
    },
    {"type": "chat", "data": {"content": "I doubt that.", "role": "critic"}},
    {"type": "function", "data": {"content": "42", "name": "old_function"}},
    {"type": "ai", "data": {"content": "null", "app_field": {"kept": True}}},
]

# langchain-redis keeps no roles and no names, and cannot read what needs them; parts of content are kept, but its index takes
# texts only, so that it never finds them.
LANGCHAIN_REDIS: list[dict[str, Any]] = [
    each for each in LANGCHAIN if each["type"] not in {"chat", "function"} and isinstance(each["data"]["content"], str)
]
LANGCHAIN_REDIS_UNREADABLE: list[dict[str, Any]] = [each for each in LANGCHAIN if each not in LANGCHAIN_REDIS]

# In LangChain.js a role of the app's own is a message of the type `generic`, and a message has no fields of the app's own.
LANGCHAIN_JS: list[dict[str, Any]] = [
    {**each, "type": "generic"} if each["type"] == "chat" else each
    for each in LANGCHAIN
    if "app_field" not in each["data"]
]

# Before version 0.2 of its core, artifacts, statuses and usage were not known.
LANGCHAIN_OLD: list[dict[str, Any]] = [
    {
        **each,
        "data": {
            name: value for name, value in each["data"].items() if name not in {"artifact", "status", "usage_metadata"}
        },
    }
    for each in LANGCHAIN
]

LLAMAINDEX: list[dict[str, Any]] = [
    {"role": "system", "blocks": [{"block_type": "text", "text": "You know about tea."}]},
    {"role": "user", "content": f"How is green tea made? {_LETTERS}", "additional_kwargs": {"name": "ada"}},
    {
        "role": "assistant",
        "blocks": [
            {
                "block_type": "tool_call",
                "tool_call_id": "call_1",
                "tool_name": "lookup",
                "tool_kwargs": {"what": "green tea"},
            }
        ],
        "additional_kwargs": {
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "lookup", "arguments": "{}"}}]
        },
    },
    {"role": "tool", "content": '{"steps": []}', "additional_kwargs": {"tool_call_id": "call_1", "name": "lookup"}},
    {
        "role": "user",
        "blocks": [
            {"block_type": "text", "text": "And this?"},
            {"block_type": "image", "url": "https://example.com/tea.png", "detail": "low"},
        ],
    },
    {
        "role": "assistant",
        "blocks": [
            {"block_type": "thinking", "content": "steps", "num_tokens": 3},
            {"block_type": "text", "text": "Tea."},
        ],
    },
    {"role": "developer", "content": "Be brief.", "additional_kwargs": {"app_field": {"kept": True, "n": 4.0}}},
    {"role": "chatbot", "content": "🍵"},
    {"role": "assistant", "blocks": []},
]

# Before blocks, a message had one content.
LLAMAINDEX_OLD: list[dict[str, Any]] = [
    {"role": "system", "content": "You know about tea."},
    {"role": "user", "content": f"How is green tea made? {_LETTERS}", "additional_kwargs": {"name": "ada"}},
    {
        "role": "assistant",
        "content": None,
        "additional_kwargs": {
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "lookup", "arguments": "{}"}}]
        },
    },
    {"role": "tool", "content": '{"steps": []}', "additional_kwargs": {"tool_call_id": "call_1", "name": "lookup"}},
    {"role": "chatbot", "content": "🍵"},
]

OPENAI_AGENTS: list[dict[str, Any]] = [
    {"role": "user", "content": f"How is green tea made? {_LETTERS}"},
    {
        "id": "rs_1",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "Look it up."}],
        "encrypted_content": "gAAA==",
    },
    {
        "id": "fc_1",
        "type": "function_call",
        "call_id": "call_1",
        "name": "lookup",
        "arguments": '{"what":"green tea"}',
        "status": "completed",
    },
    {"type": "function_call_output", "call_id": "call_1", "output": '{"steps": ["steam", "roll", "dry"]}'},
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "Steamed 🍵, rolled, dried.", "annotations": [], "logprobs": []}],
    },
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "And this?"},
            {"type": "input_image", "image_url": _PICTURE, "detail": "auto"},
        ],
    },
    {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "tea"}},
    {"role": "developer", "content": "Be brief.", "app_field": {"kept": True, "n": 4.0}},
    {"type": "item_of_tomorrow", "payload": None},
]

REDISVL: list[dict[str, Any]] = [
    {"role": "system", "content": "You know about tea."},
    {"role": "user", "content": f"How is green tea made? {_LETTERS}"},
    {
        "role": "llm",
        "content": "",
        "metadata": {"tool_calls": [{"id": "call_1", "name": "lookup"}], "usage": {"tokens": 19}},
    },
    {"role": "tool", "content": '{"steps": []}', "tool_call_id": "call_1"},
    {"role": "assistant", "content": "Steamed, rolled, dried. 🍵", "metadata": {"app_field": {"kept": True, "n": 4.0}}},
]

# The semantic history embeds each message, and refuses to embed nothing.
REDISVL_SEMANTIC: list[dict[str, Any]] = [each for each in REDISVL if each["content"]]

REDISVL_OLD: list[dict[str, Any]] = [
    {name: value for name, value in each.items() if name != "metadata"} for each in REDISVL
]

VERCEL_KV: dict[str, Any] = {
    "id": "chat-1",
    "title": "How is green tea made? 🍵",
    "userId": "user-1",
    "createdAt": 1719400000123,
    "path": "/chat/chat-1",
    "messages": [
        {"id": "m1", "role": "user", "content": f"How is green tea made? {_LETTERS}"},
        {
            "id": "m2",
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I look it up."},
                {"type": "tool-call", "toolCallId": "call_1", "toolName": "lookup", "args": {"what": "green tea"}},
            ],
        },
        {
            "id": "m3",
            "role": "tool",
            "content": [{"type": "tool-result", "toolCallId": "call_1", "toolName": "lookup", "result": {"n": 4.5}}],
        },
        {"role": "assistant", "content": "Steamed, rolled, dried.", "createdAt": "2024-06-26T11:06:40.123Z"},
        {"role": "critic", "content": "", "app_field": {"kept": True}},
    ],
}

AGENT_FRAMEWORK: list[dict[str, Any]] = [
    {"type": "message", "role": "system", "contents": [{"type": "text", "text": "You know about tea."}]},
    {
        "type": "message",
        "role": "user",
        "author_name": "ada",
        "message_id": "m2",
        "contents": [{"type": "text", "text": f"How is green tea made? {_LETTERS}"}],
    },
    {
        "type": "message",
        "role": "assistant",
        "contents": [
            {"type": "function_call", "call_id": "call_1", "name": "lookup", "arguments": '{"what": "green tea"}'}
        ],
    },
    {
        "type": "message",
        "role": "tool",
        "contents": [{"type": "function_result", "call_id": "call_1", "result": '{"steps": []}'}],
    },
    {
        "type": "message",
        "role": "user",
        "contents": [
            {"type": "text", "text": "And this?"},
            {"type": "data", "uri": _PICTURE, "media_type": "image/png"},
        ],
        "additional_properties": {"app_field": {"kept": True, "n": 4.0}},
    },
    {
        "type": "message",
        "role": "critic",
        "contents": [{"type": "text_reasoning", "text": "Doubtful."}, {"type": "text", "text": "🍵"}],
    },
]

AGENT_FRAMEWORK_OLD: list[dict[str, Any]] = [{**each, "type": "chat_message"} for each in AGENT_FRAMEWORK]

# For the document stores: each makes of it what its own interface takes.
DOCUMENTS: list[dict[str, Any]] = [
    {
        "id": "green",
        "text": f"Green tea is steamed. {_LETTERS}",
        "metadata": {"title": 'Green « tea: "a" way', "page": 1, "score": 4.5, "tag": "green"},
    },
    {
        "id": "black",
        "text": "Black tea is oxidised.",
        "metadata": {"title": "Black tea", "page": 2, "score": 4.0, "tag": "black"},
    },
    {
        "id": "white",
        "text": "White tea is dried. 🍵",
        "metadata": {"title": "White tea", "page": 30, "score": -0.5, "tag": "white"},
    },
]
