"""`python -m spidercni`: the same entry as the frozen executable."""

from spidercni.main import main

if __name__ == "__main__":
    main()
