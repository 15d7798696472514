"""imageclf-plan: print and plot what every phase and step of a schedule does, without training."""

from imageclf.configs import command

main = command("plan", __doc__)

if __name__ == "__main__":
    main()
