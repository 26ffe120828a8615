"""The official Python client of the Model Context Protocol, 1.x or 2.x, talks to a gateway.

    client.py stdio TOOL ARGUMENTS COMMAND [ARGUMENT]…
    client.py http TOOL ARGUMENTS URL [TOKEN]

Lists the tools, calls TOOL with ARGUMENTS (a JSON object) and prints one JSON document: the names, and what the
call gave. The client checks schemas and forms by itself, and fails where something is not as the protocol says.
"""
import asyncio
import json
import sys

import mcp


async def asked(session, tool, arguments):
    listed = await session.list_tools()
    result = await session.call_tool(tool, arguments)
    structured = getattr(result, "structured_content", None) or getattr(result, "structuredContent", None)
    error = getattr(result, "is_error", None)
    if error is None:
        error = getattr(result, "isError", None)
    return {"tools": [one.name for one in listed.tools], "error": error, "structured": structured}


async def second(kind, tool, arguments, rest):
    from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client

    if kind == "stdio":
        server = mcp.StdioServerParameters(command=rest[0], args=rest[1:], env=None)
        async with mcp.Client(server) as client:
            return await asked(client, tool, arguments)
    headers = {"Authorization": f"Bearer {rest[1]}"} if len(rest) > 1 else {}
    async with create_mcp_http_client(headers=headers) as http:
        async with mcp.Client(streamable_http_client(rest[0], http_client=http)) as client:
            return await asked(client, tool, arguments)


async def first(kind, tool, arguments, rest):
    from mcp.client.stdio import stdio_client
    from mcp.client.streamable_http import streamablehttp_client

    if kind == "stdio":
        transport = stdio_client(mcp.StdioServerParameters(command=rest[0], args=rest[1:], env=None))
    else:
        headers = {"Authorization": f"Bearer {rest[1]}"} if len(rest) > 1 else {}
        transport = streamablehttp_client(rest[0], headers=headers)
    async with transport as streams:
        async with mcp.ClientSession(streams[0], streams[1]) as session:
            await session.initialize()
            return await asked(session, tool, arguments)


def main():
    kind, tool, arguments, *rest = sys.argv[1:]
    speak = second if hasattr(mcp, "Client") else first
    print(json.dumps(asyncio.run(speak(kind, tool, json.loads(arguments), rest))))


if __name__ == "__main__":
    main()
