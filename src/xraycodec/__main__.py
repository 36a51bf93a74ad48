"""``python -m xraycodec`` is ``xrc``."""

from xraycodec.cli import main

if __name__ == "__main__":
    main()
