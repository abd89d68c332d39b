import multiprocessing as mp
def fail(x):
    raise RuntimeError(f"child {x}")
if __name__ == "__main__":
    process = mp.get_context("fork").Process(target=fail, args=(1,))
    process.start()
    process.join()
    print(process.exitcode)
