import asyncio
async def work(n):
    await asyncio.sleep(0)
    return n
async def main():
    print(await asyncio.gather(*map(work, range(3))))
    raise asyncio.CancelledError("over")
asyncio.run(main())
