"""imageclf-cache: list or clear what is kept between runs: shrunk pictures, features, verified sets."""

from imageclf.configs import command

main = command("commands/cache", __doc__)

if __name__ == "__main__":
    main()
