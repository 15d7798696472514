"""imageclf-prefetch: fetch a model's weights into the cache, for nodes without internet."""

from imageclf.configs import command

main = command("prefetch", __doc__)

if __name__ == "__main__":
    main()
