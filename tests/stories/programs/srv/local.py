"""Listens at all addresses of "localhost", as asyncio does: ::1 is one."""
import asyncio


async def answer(reader, writer):
    writer.write(b"asyncio is here\n")
    await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(answer, "localhost", 8107)
    await server.serve_forever()


asyncio.run(main())
