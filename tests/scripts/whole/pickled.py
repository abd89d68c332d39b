import pickle
class Config:
    width = 3
print(type(pickle.loads(pickle.dumps(Config()))).__module__, Config.__qualname__)
import __main__
print(__main__.Config is Config)
