"""Items of the Responses API, of every kind, and some that are hard to keep."""

import json

ITEMS = {
    "a user's text": {"role": "user", "content": "Where is my order?"},
    "keys in another order": {"content": "Where?", "role": "user"},
    "a typed message": {"type": "message", "role": "developer", "content": "Be brief."},
    "text, picture and file": {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto"},
            {"type": "input_file", "file_id": "file-1", "filename": None},
        ],
    },
    "an assistant's output": {
        "id": "msg_1",
        "content": [{"annotations": [], "text": "It left.", "type": "output_text", "logprobs": []}],
        "role": "assistant",
        "status": "completed",
        "type": "message",
    },
    "the same id again": {"id": "msg_1", "content": [], "role": "assistant", "status": "completed", "type": "message"},
    "a refusal": {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}], "type": "message"},
    "a function call": {
        "arguments": '{"order": 17}',
        "call_id": "call_1",
        "name": "find_order",
        "type": "function_call",
        "id": "__fake_id__",
        "status": "completed",
    },
    "its output": {"call_id": "call_1", "output": "left at nine", "type": "function_call_output"},
    "an output of parts": {
        "call_id": "call_2",
        "output": [{"type": "input_text", "text": "a map"}, {"type": "input_image", "image_url": "https://a/b.png"}],
        "type": "function_call_output",
    },
    "reasoning": {
        "id": "rs_1",
        "summary": [{"text": "The order first.", "type": "summary_text"}],
        "type": "reasoning",
        "content": None,
        "encrypted_content": "gAAAAA==",
    },
    "a computer's picture": {
        "call_id": "call_3",
        "output": {"type": "computer_screenshot", "image_url": "https://a/c.png"},
        "type": "computer_call_output",
        "acknowledged_safety_checks": [],
    },
    "a search": {
        "id": "ws_1",
        "status": "completed",
        "type": "web_search_call",
        "action": {"type": "search", "query": "?"},
    },
    "a tool of a server": {
        "id": "mcp_1",
        "arguments": "{}",
        "name": "roll",
        "server_label": "dice",
        "type": "mcp_call",
        "output": "6",
        "error": None,
    },
    "a shell's output": {
        "call_id": "call_4",
        "output": [{"stdout": "a\n", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
        "type": "shell_call_output",
        "max_output_length": 4096,
    },
    "compaction": {"type": "compaction", "encrypted_content": "abc", "id": "cmp_1"},
    "a reference": {"id": "msg_9", "type": "item_reference"},
    "no content": {"role": "assistant"},
    "a null for content": {"role": "assistant", "content": None},
    "an empty content": {"role": "user", "content": ""},
    "every script": {"role": "user", "content": 'Žlutý kůň 馬 🐎 \u0000 \u2028 \\u0041 "quoted" </script>'},
    "numbers": {"type": "custom", "a": 1e22, "b": 1.0, "c": -0.0, "d": 2**70, "e": 0.1, "f": 1e-7, "g": True, "h": 1},
    "numbers with their names in order": {"a": 1e22, "b": -0.0, "c": 1.5e300, "d": [1e16, 1e15], "type": "custom"},
    "names that mean something here": {
        "role": "user",
        "content": "x",
        "json": "y",
        "metadata": {"b": 1, "a": 2},
        "extra": [],
        "item": {},
        "id": "",
    },
    "a type of tomorrow": {"type": "telepathy_call", "thought": {"of": ["tea", {"deep": {"deeper": None}}]}},
}


def texts(items):
    """The items as JSON: equal only where the order of keys and the kinds of numbers are, too."""
    return [json.dumps(item) for item in items]
